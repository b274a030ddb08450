"""简体中文。"""

TEXTS = {
    # engine
    # prompt
    # store
    # export
    # scripts
    # cli
    # ui
}
