"""Bounds and timeouts that modules share, each with its unit and its reason. Pure.

Here are those that several modules share; one that a single module uses is at its top, in capitals, with its reason.
``_S`` are seconds, ``_BYTES`` bytes, ``_TOKENS`` tokens of whatever tokenizer counts them.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

# --- the wire -----------------------------------------------------------------------------------
HEADERS_BYTES = 16 * KIB
PROMPT_CHARS = 64_000  # about 16,000 tokens: more than most models can read
CLIENT_ID_CHARS = 64
PING_INTERVAL_S = 20.0  # keeps NATs open and finds half-open links
PONG_DEADLINE_S = (
    50.0  # not a byte for so long, two pings unanswered: the peer is gone, which shows within a minute
)
SEND_TIMEOUT_S = 5.0  # a peer that takes nothing for so long is dropped
PROMPTS_BURST = 60  # prompts at once: a script that sets a story up
PROMPTS_PER_S = 10.0  # after that
TOKEN_BYTES = 24  # of randomness in a token that we make: 192 bits
EXPORT_KEPT_S = 30 * 24 * 3600  # of a user's exports
USER_CLIENTS = 16  # of one user at once
DISK_LOW_BYTES = 16 * MIB  # below it the engine is not ready: the next reply may not fit

# --- queues -------------------------------------------------------------------------------------
PROMPT_QUEUE = 4  # prompts that may wait while a reply streams

# --- stories ------------------------------------------------------------------------------------
HISTORY_PAGE_MESSAGES = 100
TITLE_CHARS = 60
SESSIONS_LISTED = 200
TRASH_KEPT_S = 30 * 24 * 3600.0  # a deleted story can be taken back for a month
BRANCHES_LISTED = 50  # ends of branches, or messages in the trash, in one list
BRANCH_NAME_CHARS = 40
PREVIEW_CHARS = 72  # of a message in a list: one row of a terminal
REPLY_CHARS = 200_000  # a model in a loop is stopped here
PAGE_BYTES = (
    1024  # of the database: a commit writes whole pages, with 4096 an exchange writes twice as much
)
SAVE_SHIELD_S = 5.0  # longest a cancelled turn may take to save what it has

# --- assets, lore, config -----------------------------------------------------------------------
YAML_BYTES = 1 * MIB
NUMBER_DIGITS = 18  # of a typed number: what fits 64 bits, as all numbers of messages do
YAML_DIGITS = 18  # of a whole number: what fits 64 bits, so that no reader further on chokes
KEY_SHOWN_CHARS = 40  # of a file's key in a sentence: no setting's name is half as long
ASSET_BYTES = 32 * MIB  # of one file: the lore of a world may be as long as several novels
ID_CHARS = 64
NAME_CHARS = 120
ATTACHED_LORE_CHARS = 32_000

# --- files from other programs ------------------------------------------------------------------
IMPORT_BYTES = 64 * MIB  # a whole file: the largest cards that programs still open
IMPORT_ENTRIES = 20_000  # of one lorebook
IMPORT_MESSAGES = 200_000  # of one chat
IMPORT_SPEAKERS = 50  # named in a question
IMPORT_GROUPS = 200  # that chats and cards which come later are looked for in
LIBRARY_BYTES = 2048 * MIB  # of an archive of a whole home, packed and unpacked
LIBRARY_MEMBERS = 60_000  # files in it
LIBRARY_ROW_BYTES = 64 * MIB  # of one row: a lorebook

# --- recall -------------------------------------------------------------------------------------
EMBED_TOKENS = 256  # the length all-MiniLM-L6-v2 was trained for; longer input is cut
RECALL_TOKENS = 900  # share of the prompt given to recalled text
EMBED_REQUEST_TEXTS = 32  # texts per background request: stored, then the next ones are fetched
INDEXES_OPEN = 4  # scopes with vectors in memory; the least recently used one is closed
PROGRESS_INTERVAL_S = 0.5  # between two progress lines of one job
PASSAGES_LISTED = 100
SOURCE_BYTES = 4 * MIB  # one file of lore: a long novel
SOURCES_FOLDER = 2_000  # files of lore in one synced folder

# --- prompts ------------------------------------------------------------------------------------
CONTEXT_USED_SHARE = 0.95  # token counts are estimates; a few per cent stay free
PROMPT_MESSAGES = 400  # more never fit a window; reading them would only cost time

SUMMARY_CHARS = 2_400  # what SUMMARY_TOKENS are at most; the room for thinking is not meant for it

# --- providers ----------------------------------------------------------------------------------
ERROR_BODY_BYTES = 64 * KIB
TRIES_BEFORE_FIRST_PIECE = 3
WHOLE_REPLY_BYTES = 4 * MIB  # a reply that came as one JSON document instead of a stream
ERROR_TEXT_CHARS = 300  # of a provider's own words in a sentence for the user
CLIENTS_MAX = 256  # of one engine at once
CLIENTS_MAX_SHARED = 2000  # of each of several engines on one database; those are no small boards
CONNECTIONS_SPARE = (
    256  # open sockets beside those of clients: who is about to come in, /readyz, imports
)
CONNECTIONS_PER_PROVIDER = 2 * CLIENTS_MAX  # a story and a summary or draft for each client
GATE_GROW_S = 5.0  # without a refusal, before one request more is tried at once
GATES = 64  # models of one endpoint whose lines are kept apart
KEY_BYTES = 8 * KIB  # no API key is longer; a wrong file name must not be read whole

# --- catalogue of models ------------------------------------------------------------------------
CATALOGUE_TIMEOUT_S = 8.0  # per provider, in the background, all at once
CATALOGUE_MODELS = 2_000  # per provider

# --- local models -------------------------------------------------------------------------------
LOCAL_RESERVE_BYTES = 256 * MIB  # left for the engine, the TUI and the system
LOCAL_OVERHEAD_BYTES = 192 * MIB  # llama.cpp's compute buffers and the process itself
LOCAL_PROGRESS_S = 0.5  # how often loading progress is looked at

# --- the game layer -----------------------------------------------------------------------------
SHEET_TEXT_CHARS = 120  # a name or a value: a line, not a paragraph
QUICK_REPLIES = 9  # one for each of the keys 1 to 9
QUICK_REPLY_NAME_CHARS = 24  # of a label: nine of them are two rows of a terminal
QUICK_REPLY_CHARS = 2_000  # a line or a command of the player

# --- processes ----------------------------------------------------------------------------------
HARD_EXIT_S = 5.0
ENGINE_START_S = 20.0  # a Pi Zero reading imports from an SD card
LAUNCH_POLL_S = 0.05  # a starting engine is looked for this often, so that joining is not felt
ENGINE_LOG_BYTES = 4 * MIB  # a longer log is set aside as engine.log.1: at most twice this on disk

# --- the TUI ------------------------------------------------------------------------------------
COLUMNS_MIN = 40  # below it the screen says so instead of breaking
ROWS_MIN = 12
SIDEBAR_FROM_COLUMNS = 90
READING_COLUMNS = 96  # longer lines are hard to read back from
FILTER_CHARS = 200  # typed at a list or a search: more than any name, few enough for every key
TICK_HZ_LOCAL = (
    120.0  # what a screen shows at most; of 200 words a second more than half are drawn at once
)
TICK_HZ_SSH = 20.0  # a frame per 50 ms is smooth to read and kind to the line
SPINNER_S = 0.15
STORY_FIRST_S = (
    0.25  # so long what keys need waits for a story that is on its way to a screen that starts
)
LINK_CONNECT_S = 5.0
REFUSAL_CHARS = 300

# --- the screen ---------------------------------------------------------------------------------
LINK_MESSAGE_BYTES = (
    16 * MIB
)  # ours stays below one MiB; a V1 engine 10,000 messages in one frame of 4 MiB
PASTE_BYTES = 1 * MIB  # several chapters; the rest of a longer paste is dropped
PASTE_IDLE_S = 5.0  # a paste whose end never comes must not swallow keys for ever
ESCAPE_WAIT_S = 0.02  # between ESC and the rest of its sequence, on a local terminal
ESCAPE_WAIT_SSH_S = 0.05  # the same over SSH: more than most links split them by

# --- lorebooks ----------------------------------------------------------------------------------
LORE_KEY_CHARS = 2_000  # of a key that is a pattern; real ones have up to some hundred
LORE_SCAN_DEPTH = 1_000  # messages, newest first
