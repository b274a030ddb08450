-- A database as the first version wrote it; later versions must read it for ever.
PRAGMA application_id = 0x51336368;
PRAGMA user_version = 1;
CREATE TABLE chats (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    title TEXT NOT NULL DEFAULT '',
    system TEXT NOT NULL DEFAULT '',
    toggle TEXT,
    head_id INTEGER REFERENCES messages (id) ON DELETE SET NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    pinned INTEGER NOT NULL DEFAULT 0,
    draft TEXT NOT NULL DEFAULT '',
    deleted_at INTEGER
);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    chat_id INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
    parent_id INTEGER,
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    reasoning TEXT NOT NULL DEFAULT '',
    tool_calls TEXT NOT NULL DEFAULT '[]',
    mode_tag TEXT,
    meta TEXT NOT NULL DEFAULT '{}',
    token_ids BLOB NOT NULL DEFAULT x'',
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    UNIQUE (chat_id, id),
    FOREIGN KEY (chat_id, parent_id) REFERENCES messages (chat_id, id)
);
CREATE INDEX messages_by_parent ON messages (chat_id, parent_id);
CREATE INDEX messages_unfinished ON messages (id) WHERE finished_at IS NULL;
CREATE INDEX chats_by_time ON chats (updated_at);
INSERT INTO chats (id, title, system, toggle, head_id, created_at, updated_at)
    VALUES (4, '草莓 strawberries', 'Be brief.', 'no_think', 8, 1772366400000, 1772366460000);
INSERT INTO messages (id, chat_id, parent_id, role, content, mode_tag, created_at, finished_at)
    VALUES (7, 4, NULL, 'user', 'How many r''s in strawberries?', 'think', 1772366400000, 1772366400000);
INSERT INTO messages
        (id, chat_id, parent_id, role, content, reasoning, meta, token_ids, created_at, finished_at)
    VALUES (8, 4, 7, 'assistant', '**3**，没错。', 'Let me count.',
        '{"model":"Qwen3-0.6B","seed":7,"stop_reason":"end_of_turn","usage":{"prompt_tokens":9},"later":1}',
        x'0100000002000000', 1772366401000, 1772366460000);
INSERT INTO messages (id, chat_id, parent_id, role, content, reasoning, created_at)
    VALUES (9, 4, 7, 'assistant', '', 'Cut off here', 1772366470000);
