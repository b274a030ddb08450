"""English, the reference language."""

TEXTS = {
    # engine
    # prompt
    "prompt.no_template": "This model file carries no chat template, so it cannot hold a conversation.",
    "prompt.template_broken": "The chat template in this model file cannot be read: {reason}",
    "prompt.template_failed": "The chat template in this model file does not accept this conversation: {reason}",
    "prompt.tool_schema_broken": "The description of a tool is not a JSON object: {reason}",
    # store
    "store.disk_full": "The chats could not be saved: the disk is full ({path}).",
    "store.no_database": "{path} is not a chat database.",
    "store.damaged": "The chat database {path} is damaged ({reason}); use the newest copy beside it.",
    "store.not_writable": "The chat database {path} can't be opened for writing ({reason}).",
    "store.busy": "The chat database {path} has been in use by another program for too long; try again.",
    "store.failed": "The chat database {path} could not be used ({reason}).",
    "store.closed": "The chat database is closed already.",
    "store.newer": "A newer qwen3-chat wrote the chat database {path} (version {version}, this one knows "
    "{known}); please upgrade.",
    "store.foreign": "{path} is a database of another program.",
    "store.no_backup": "The chat database was not upgraded, because no copy of it could be made first at "
    "{path} ({reason}).",
    "store.no_such_chat": "There is no chat {chat_id}.",
    "store.no_such_message": "There is no message {message_id} in this chat.",
    # export
    # scripts
    "scripts.making": "Making a Python environment in {folder} …",
    "scripts.compiling_first": "Installing. llama.cpp is compiled for this machine, once: about 4 minutes on two cores. "
    "Details: {log}",
    "scripts.installing": "Installing what is new. Details: {log}",
    "scripts.ready": "Ready after {duration}.",
    "scripts.waiting": "Another run is installing here; waiting for it …",
    "scripts.remaking.interrupted": "The last installation was cut off; starting it afresh.",
    "scripts.remaking.moved": "This folder has moved since its .venv was made; making it anew.",
    "scripts.remaking.broken": "The .venv here no longer works with this machine's Python; making it anew.",
    "scripts.interrupted": "Stopped. Run the same command again to go on.",
    "scripts.no_compiler": "llama.cpp must be compiled here and no {language} compiler was found; install one with: "
    "{command}",
    "scripts.no_compiler_no_command": "llama.cpp must be compiled here and no {language} compiler was found; please "
    "install one, such as GCC or Clang.",
    "scripts.no_venv": "This Python comes without its venv module; install it with: {command}",
    "scripts.no_venv_no_command": "This Python cannot make virtual environments (its venv or ensurepip module is "
    "missing); please use a complete one.",
    "scripts.failed.network": "The package index cannot be reached. Check the connection, or name a mirror in "
    "PIP_INDEX_URL. Details: {log}",
    "scripts.failed.disk": "The disk is full. Details: {log}",
    "scripts.failed.memory": "Memory ran out while compiling; CMAKE_BUILD_PARALLEL_LEVEL=1 makes do with less. "
    "Details: {log}",
    "scripts.failed.other": "The installation failed; the lines above say why. Details: {log}",
    "scripts.failed.system": "The installation failed: {reason}",
    "scripts.step.retrying": "No connection, trying again",
    "scripts.step.collecting": "Looking up {subject}",
    "scripts.step.downloading": "Downloading {subject}",
    "scripts.step.build_tools": "Fetching the tools to build with",
    "scripts.step.building": "Building {subject}",
    "scripts.step.compiling": "Compiling llama.cpp  {percent}  {subject}",
    "scripts.step.installing": "Installing the packages",
    "scripts.test.failed": "Failed: {name}. What comes after it did not run.",
    "scripts.bench.usage": "Usage: python3 scripts/bench {names} [options]",
    "scripts.bench.missing": "There is no benchmark of {name} in this checkout.",
    # cli
    # ui
}
