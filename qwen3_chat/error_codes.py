"""The codes of all errors: what decisions match on, and what scripts see as `error_code`.

`docs/error-codes.md` lists them for users. A code is never renamed and never given another meaning.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class ErrorCode(StrEnum):
    """The code of an error; the value is public, `text_key` is the key of its sentence."""

    text_key: str

    def __new__(cls, code: str, text_key: str) -> Self:
        """Return the member with its public code and the key of its sentence."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.text_key = text_key
        return member

    # The engine
    OUT_OF_MEMORY = "out_of_memory", "engine.out_of_memory"
    LOAD_CANCELLED = "load_cancelled", "engine.load_cancelled"
    MODEL_NOT_LOADABLE = "model_not_loadable", "engine.load_refused"
    CONTEXT_NOT_CREATED = "context_not_created", "engine.context_refused"
    CONTEXT_FULL = "context_full", "engine.no_room"
    PROMPT_TOO_LONG = "prompt_too_long", "engine.prompt_too_long"
    EVALUATION_FAILED = "evaluation_failed", "engine.evaluation_failed"
    NO_MODEL_LOADED = "no_model_loaded", "engine.no_model"
    ENGINE_BUSY = "engine_busy", "engine.busy"
    ENGINE_NOT_STARTED = "engine_not_started", "engine.not_started"
    ENGINE_KILLED = "engine_killed", "engine.killed"
    ENGINE_ENDED_BY_SIGNAL = "engine_ended_by_signal", "engine.signalled"
    ENGINE_EXITED = "engine_exited", "engine.ended"
    ENGINE_ABORTED = "engine_aborted", "engine.aborted"
    CPU_UNSUPPORTED = "cpu_unsupported", "engine.wrong_cpu"
    LLAMA_CPP_BROKEN = "llama_cpp_broken", "engine.llama_cpp_broken"
    LLAMA_CPP_VERSION_UNSUPPORTED = "llama_cpp_version_unsupported", "engine.bindings_differ"
    LLAMA_CPP_SILENT = "llama_cpp_silent", "hardware.no_answer"
    TEXT_NOT_UNICODE = "text_not_unicode", "engine.text_not_unicode"
    UNEXPECTED_FAILURE = "unexpected_failure", "engine.bug"
    CALIBRATION_WITHOUT_MEMORY = "calibration_without_memory", "calibrate.no_memory"
    FIX_FAILED = "fix_failed", "doctor.fix_failed"
    FIX_WITHOUT_EFFECT = "fix_without_effect", "doctor.fix_in_vain"

    # Model files
    MODEL_FILE_MISSING = "model_file_missing", "gguf.missing"
    MODEL_FILE_IS_FOLDER = "model_file_is_folder", "gguf.is_directory"
    MODEL_FILE_UNREADABLE = "model_file_unreadable", "gguf.unreadable"
    MODEL_FILE_EMPTY = "model_file_empty", "gguf.empty"
    MODEL_FILE_NOT_GGUF = "model_file_not_gguf", "gguf.not_gguf"
    MODEL_FILE_IS_WEB_PAGE = "model_file_is_web_page", "gguf.web_page"
    MODEL_FILE_IS_LFS_POINTER = "model_file_is_lfs_pointer", "gguf.lfs_pointer"
    GGUF_VERSION_UNSUPPORTED = "gguf_version_unsupported", "gguf.version"
    GGUF_HEADER_DAMAGED = "gguf_header_damaged", "gguf.damaged"
    GGUF_HEADER_TRUNCATED = "gguf_header_truncated", "gguf.header_cut"
    MODEL_FILE_TRUNCATED = "model_file_truncated", "gguf.truncated"
    MODEL_NOT_INSTALLED = "model_not_installed", "library.not_installed"
    MODEL_UNKNOWN = "model_unknown", "library.unknown"
    MODEL_CANNOT_CHAT = "model_cannot_chat", "library.cannot_chat"
    MODEL_AMBIGUOUS = "model_ambiguous", "rm.which"
    MODEL_ALREADY_ABSENT = "model_already_absent", "rm.not_installed"
    MODEL_OF_OTHER_PROGRAM = "model_of_other_program", "rm.elsewhere"
    MODEL_NOT_REMOVED = "model_not_removed", "rm.failed"

    # Prompts
    CHAT_TEMPLATE_MISSING = "chat_template_missing", "prompt.no_template"
    CHAT_TEMPLATE_BROKEN = "chat_template_broken", "prompt.template_broken"
    CHAT_TEMPLATE_FAILED = "chat_template_failed", "prompt.template_failed"
    CHAT_TEMPLATE_TOO_SLOW = "chat_template_too_slow", "prompt.template_too_slow"
    CHAT_TEMPLATE_TOO_LARGE = "chat_template_too_large", "prompt.template_too_large"
    CHAT_TEMPLATE_CRASHED = "chat_template_crashed", "prompt.template_crashed"
    PROMPT_EMPTY = "prompt_empty", "prompt.empty"
    TOOL_SCHEMA_INVALID = "tool_schema_invalid", "prompt.tool_schema_broken"
    CONTEXT_EXCEEDED = "context_exceeded", "session.exceeded"
    MESSAGE_TOO_LONG = "message_too_long", "session.too_long"
    SUMMARY_EMPTY = "summary_empty", "session.no_summary"
    SUMMARY_CANCELLED = "summary_cancelled", "session.summary_stopped"
    TURN_CANCELLED = "turn_cancelled", "session.stopped"
    NUMBER_OUT_OF_RANGE = "number_out_of_range", "session.options.number"
    WHOLE_NUMBER_OUT_OF_RANGE = "whole_number_out_of_range", "session.options.whole"

    # Servers
    SERVER_NOT_LISTENING = "server_not_listening", "remote.nobody_listens"
    SERVER_HOST_UNKNOWN = "server_host_unknown", "remote.unknown_host"
    SERVER_UNREACHABLE = "server_unreachable", "remote.unreachable"
    SERVER_CERTIFICATE_UNTRUSTED = "server_certificate_untrusted", "remote.untrusted"
    SERVER_WITHOUT_HTTPS = "server_without_https", "remote.no_https"
    SERVER_TIMEOUT = "server_timeout", "remote.slow"
    SERVER_STALLED = "server_stalled", "remote.stalled"
    SERVER_DISCONNECTED = "server_disconnected", "remote.cut"
    SERVER_MOVED = "server_moved", "remote.moved"
    SERVER_KEY_REFUSED = "server_key_refused", "remote.unauthorised"
    SERVER_PATH_NOT_FOUND = "server_path_not_found", "remote.not_found"
    NOT_A_CHAT_SERVER = "not_a_chat_server", "remote.not_a_server"
    SERVER_MODEL_NOT_FOUND = "server_model_not_found", "remote.no_model"
    SERVER_WITHOUT_MODELS = "server_without_models", "remote.no_models"
    SERVER_BUSY = "server_busy", "remote.busy"
    SERVER_LOADING = "server_loading", "remote.loading"
    SERVER_CONTEXT_EXCEEDED = "server_context_exceeded", "remote.too_long"
    SERVER_REFUSED = "server_refused", "remote.refused"
    SERVER_FAILED = "server_failed", "remote.failed"
    SERVER_REPLY_FAILED = "server_reply_failed", "remote.reported"
    SERVER_SENT_WEB_PAGE = "server_sent_web_page", "remote.web_page"
    SERVER_REPLY_MISSING = "server_reply_missing", "remote.no_reply"
    SERVER_REPLY_MISSING_UNKNOWN_CONTEXT = "server_reply_missing_unknown_context", "remote.no_reply_at_all"
    SERVER_SENT_TOO_MUCH = "server_sent_too_much", "remote.too_much"
    SERVER_BODY_UNREADABLE = "server_body_unreadable", "remote.packed"
    CERTIFICATE_FILE_INVALID = "certificate_file_invalid", "remote.bad_certificate"
    PROXY_INVALID = "proxy_invalid", "remote.bad_proxy"
    API_KEY_INVALID = "api_key_invalid", "remote.bad_key"
    API_KEY_VARIABLE_MISSING = "api_key_variable_missing", "remote.no_variable"
    API_KEY_NOT_IN_KEYRING = "api_key_not_in_keyring", "remote.not_in_keyring"
    KEYRING_UNUSABLE = "keyring_unusable", "remote.keyring_unusable"
    API_KEY_FILE_NOT_PRIVATE = "api_key_file_not_private", "remote.key_file_open"
    API_KEY_FILE_UNREADABLE = "api_key_file_unreadable", "remote.key_file_unreadable"
    ENDPOINT_INVALID = "endpoint_invalid", "remote.bad_url"
    ENDPOINT_WITH_SECRET = "endpoint_with_secret", "remote.secret_in_url"
    SERVER_WITHOUT_ENDPOINT = "server_without_endpoint", "remote.server_without_endpoint"
    ENDPOINT_WITH_LOCAL_MODEL = "endpoint_with_local_model", "remote.or_local"
    SERVER_ENTRY_UNKNOWN = "server_entry_unknown", "servers.unknown_entry"
    SERVER_ENTRY_INVALID = "server_entry_invalid", "servers.wrong_entry"
    SERVER_URL_MISSING = "server_url_missing", "servers.no_url"
    SERVER_URL_INVALID = "server_url_invalid", "servers.bad_url"
    SERVER_URL_WITH_SECRET = "server_url_with_secret", "servers.secret_in_url"
    SERVER_SECRET_IN_SETTINGS = "server_secret_in_settings", "servers.secret_itself"
    SERVER_HEADER_INVALID = "server_header_invalid", "servers.bad_header"
    SERVER_PROXY_INVALID = "server_proxy_invalid", "servers.bad_proxy"
    SERVER_FILE_PATH_INVALID = "server_file_path_invalid", "servers.bad_file"
    SERVER_CERTIFICATE_MISSING = "server_certificate_missing", "servers.key_without_certificate"
    SERVER_FALLBACK_UNKNOWN = "server_fallback_unknown", "servers.no_fallback"
    SERVER_FALLBACK_CIRCULAR = "server_fallback_circular", "servers.fallback_circle"

    # Downloads
    DOWNLOAD_NAME_UNKNOWN = "download_name_unknown", "hub.unknown_model"
    REPOSITORY_NAME_INVALID = "repository_name_invalid", "hub.no_repository_name"
    REPOSITORY_FILE_AMBIGUOUS = "repository_file_ambiguous", "hub.which_file"
    QUANT_NOT_FOUND = "quant_not_found", "hub.no_such_quant"
    MODEL_PART_MISSING = "model_part_missing", "hub.part_missing"
    REPOSITORY_WITHOUT_GGUF = "repository_without_gguf", "models.none_in"
    REPOSITORY_WITHOUT_QWEN3 = "repository_without_qwen3", "models.no_qwen3"
    SOURCE_UNKNOWN = "source_unknown", "pull.unknown_source"
    DOWNLOAD_FAILED = "download_failed", "hub.no_source"
    FILE_PATH_UNSAFE = "file_path_unsafe", "hub.strange_path"
    CHECKSUM_MISSING = "checksum_missing", "hub.no_checksum"
    REMOTE_HEADER_UNREADABLE = "remote_header_unreadable", "hub.no_header"
    REPOSITORY_GATED = "repository_gated", "hub.gated"
    REPOSITORY_FORBIDDEN = "repository_forbidden", "hub.forbidden"
    REPOSITORY_NOT_FOUND = "repository_not_found", "hub.no_repository"
    REPOSITORY_FILE_NOT_FOUND = "repository_file_not_found", "hub.no_file"
    SOURCE_FILE_DIFFERS = "source_file_differs", "hub.other_file"
    SOURCE_SENT_WEB_PAGE = "source_sent_web_page", "hub.sent_a_page"
    SOURCE_RATE_LIMITED = "source_rate_limited", "hub.rate_limited"
    SOURCE_RATE_LIMITED_FOR_TIME = "source_rate_limited_for_time", "hub.rate_limited_for"
    SOURCE_FAILED = "source_failed", "hub.server_error"
    SOURCE_LINK_REFUSED = "source_link_refused", "hub.link_refused"
    SOURCE_STATUS_UNEXPECTED = "source_status_unexpected", "hub.odd_status"
    SOURCE_SENT_WRONG_RANGE = "source_sent_wrong_range", "hub.wrong_range"
    SOURCE_LISTING_UNREADABLE = "source_listing_unreadable", "hub.unreadable_list"
    HUB_OFFLINE = "hub_offline", "hub.offline"
    DOWNLOAD_PROXY_INVALID = "download_proxy_invalid", "hub.bad_proxy"
    SOURCE_UNREACHABLE = "source_unreachable", "hub.unreachable"
    SOURCE_TIMEOUT = "source_timeout", "hub.silent"
    SOURCE_DISCONNECTED = "source_disconnected", "hub.cut"
    DOWNLOAD_DAMAGED = "download_damaged", "hub.damaged"
    DOWNLOAD_REMOVED = "download_removed", "hub.removed"
    DISK_TOO_SMALL = "disk_too_small", "hub.disk_too_small"
    DOWNLOAD_DISK_FULL = "download_disk_full", "hub.disk_full"
    DOWNLOAD_NOT_WRITABLE = "download_not_writable", "hub.unwritable"

    # Stored chats
    CHAT_NOT_FOUND = "chat_not_found", "store.no_such_chat"
    MESSAGE_NOT_FOUND = "message_not_found", "store.no_such_message"
    CHAT_REFERENCE_INVALID = "chat_reference_invalid", "cli.bad_chat"
    LAST_CHAT_MISSING = "last_chat_missing", "cli.no_last_chat"
    CHAT_DATABASE_DISK_FULL = "chat_database_disk_full", "store.disk_full"
    CHAT_DATABASE_INVALID = "chat_database_invalid", "store.no_database"
    CHAT_DATABASE_DAMAGED = "chat_database_damaged", "store.damaged"
    CHAT_DATABASE_NOT_WRITABLE = "chat_database_not_writable", "store.not_writable"
    CHAT_DATABASE_BUSY = "chat_database_busy", "store.busy"
    CHAT_DATABASE_FAILED = "chat_database_failed", "store.failed"
    CHAT_DATABASE_CLOSED = "chat_database_closed", "store.closed"
    CHAT_DATABASE_NEWER = "chat_database_newer", "store.newer"
    CHAT_DATABASE_FOREIGN = "chat_database_foreign", "store.foreign"
    CHAT_DATABASE_NOT_COPIED = "chat_database_not_copied", "store.no_backup"
    DRAFT_DAMAGED = "draft_damaged", "draft.damaged"
    DRAFT_NOT_SAVED = "draft_not_saved", "draft.not_kept"
    EXPORT_DISK_FULL = "export_disk_full", "export.disk_full"
    EXPORT_NOT_PERMITTED = "export_not_permitted", "export.no_permission"
    EXPORT_FOLDER_MISSING = "export_folder_missing", "export.no_folder"
    EXPORT_FAILED = "export_failed", "export.failed"
    EXPORT_UNREADABLE = "export_unreadable", "export.not_a_transcript"
    EXPORT_NEWER = "export_newer", "export.newer"

    # Settings
    HOME_FOLDER_MISSING = "home_folder_missing", "config.no_home"
    SETTINGS_UNREADABLE = "settings_unreadable", "config.unreadable"
    SETTINGS_NOT_TOML = "settings_not_toml", "config.no_toml"
    SETTINGS_MORE_PROBLEMS = "settings_more_problems", "config.more_problems"
    CONFIG_FILE_TOO_LARGE = "config_file_too_large", "config.too_large"
    SETTING_UNKNOWN = "setting_unknown", "config.unknown_key"
    SETTING_MISSPELT = "setting_misspelt", "config.unknown_key_near"
    SETTING_INVALID = "setting_invalid", "config.wrong_value"
    SETTING_ENTRY_INVALID = "setting_entry_invalid", "config.wrong_entry"
    SETTING_NOT_ALLOWED = "setting_not_allowed", "config.not_allowed"
    SETTINGS_NOT_WRITABLE = "settings_not_writable", "config.unwritable"
    THEME_INVALID = "theme_invalid", "config.bad_theme"
    KEY_ACTION_UNKNOWN = "key_action_unknown", "keys.unknown_action"
    KEY_UNKNOWN = "key_unknown", "keys.unknown_key"
    KEY_NEEDED_FOR_TYPING = "key_needed_for_typing", "keys.for_typing"
    KEY_CONFLICT = "key_conflict", "keys.conflict"

    # Files that are attached
    FILE_UNREADABLE = "file_unreadable", "cli.unreadable_file"
    FILE_NOT_TEXT = "file_not_text", "cli.no_text"
    FILE_IS_FOLDER = "file_is_folder", "attach.folder"
    FILE_IS_PICTURE = "file_is_picture", "attach.image"
    FILE_TOO_LARGE = "file_too_large", "attach.too_large"
    FILE_EMPTY = "file_empty", "attach.empty"
    FILE_LOCKED = "file_locked", "attach.locked"
    FILE_DAMAGED = "file_damaged", "attach.damaged"
    FILE_TOO_MUCH_WORK = "file_too_much_work", "attach.too_much_work"
    FILE_WITHOUT_TEXT = "file_without_text", "attach.no_text_inside"

    # Tools
    PERMISSIONS_UNREADABLE = "permissions_unreadable", "consent.unreadable"
    PERMISSIONS_NOT_SAVED = "permissions_not_saved", "consent.not_saved"
    ARGUMENTS_NOT_JSON = "arguments_not_json", "consent.not_json"
    ARGUMENTS_WRONG = "arguments_wrong", "consent.wrong"
    ARGUMENTS_TOO_LONG = "arguments_too_long", "consent.too_long"

    # The command line
    INTERRUPTED = "interrupted", "cli.interrupted"
    REPLY_CANCELLED = "reply_cancelled", "cli.cancelled"
    PROMPT_MISSING = "prompt_missing", "cli.no_prompt"
    PROMPT_IS_ONLY_A_TAG = "prompt_is_only_a_tag", "cli.only_a_tag"
    TERMINAL_MISSING = "terminal_missing", "cli.no_terminal"
    SEVERAL_MODELS_NAMED = "several_models_named", "cli.one_model"
    JSON_WITH_JSONL = "json_with_jsonl", "cli.json_or_jsonl"
    OPTIONS_BEFORE_COMMAND = "options_before_command", "cli.options_before"
    OPTION_UNKNOWN = "option_unknown", "cli.no_such_option"
    ARGUMENT_MISSING = "argument_missing", "cli.missing"
    ARGUMENT_INVALID = "argument_invalid", "cli.bad_value"
    NUMBER_ARGUMENT_INVALID = "number_argument_invalid", "cli.bad_number"
    WHOLE_NUMBER_ARGUMENT_INVALID = "whole_number_argument_invalid", "cli.bad_whole_number"
    CHOICE_UNKNOWN = "choice_unknown", "cli.unknown_choice"
    LANGUAGE_UNKNOWN = "language_unknown", "cli.unknown_language"
    TOOL_UNKNOWN = "tool_unknown", "cli.unknown_tool"
    PYTHON_NOT_CONFINED = "python_not_confined", "cli.python_not_confined"
    PERMISSION_UNKNOWN = "permission_unknown", "cli.unknown_permission"
    USAGE_WRONG = "usage_wrong", "cli.wrong_usage"
    SIZE_INVALID = "size_invalid", "hardware.bad_size"

    @classmethod
    def from_text_key(cls, text_key: str) -> ErrorCode:
        """Return the code of a sentence; `UNEXPECTED_FAILURE` for one that this version does not have."""
        return _CODES_BY_TEXT_KEY.get(text_key, cls.UNEXPECTED_FAILURE)


CANCELLATION_CODES = frozenset(
    {
        ErrorCode.INTERRUPTED,
        ErrorCode.LOAD_CANCELLED,
        ErrorCode.REPLY_CANCELLED,
        ErrorCode.SUMMARY_CANCELLED,
        ErrorCode.TURN_CANCELLED,
    }
)
"""The codes of what the user stopped, which is no failure."""

_CODES_BY_TEXT_KEY = {code.text_key: code for code in ErrorCode}
