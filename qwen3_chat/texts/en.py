"""English, the reference language."""

TEXTS = {
    # engine
    # prompt
    # store
    # export
    # scripts
    # cli
    # ui
}
