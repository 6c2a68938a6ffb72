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
FORM_SENT_BYTES = 400 * KIB  # of all texts of a form that an engine sends
FORM_BYTES = 200 * KIB  # typed into one form and saved at once: a frame to the engine has 256
PING_INTERVAL_S = 20.0  # keeps NATs open and finds half-open links
PONG_DEADLINE_S = (
    50.0  # not a byte for so long, two pings unanswered: the peer is gone, which shows within a minute
)
SEND_TIMEOUT_S = 5.0  # a peer that takes nothing for so long is dropped
PROMPTS_BURST = 60  # prompts at once: a script that sets a story up
PROMPTS_PER_S = 10.0  # after that
TOKEN_BYTES = 24  # of randomness in a token that we make: 192 bits
USERS = 10_000  # of one home
USER_NAME_CHARS = 32
USER_TOKENS = 20  # of one user: a laptop, a phone
SEATS = 16  # of one table
TABLE_CODES = 8  # of one table that hold at once
CODE_S = 24 * 3600.0  # how long an invite code holds, unless somebody says otherwise
CODE_MOST_S = 30 * 24 * 3600.0
WHISPERS = 10_000  # of one story
WHISPER_CHARS = 2_000
AUDIT_ROWS = 10_000  # kept of logins, invites and refusals
AUDIT_ROWS_USER = 200  # of them about what one user did, so that nobody pushes out the rest
AUDIT_CHARS = 120
EXPORT_KEPT_S = 30 * 24 * 3600  # of a user's exports
GUEST_DISK_MIB = 50  # of what a guest may export
USER_CLIENTS = 16  # of one user at once
USERS_LOOK_S = 5.0  # between two looks whether the tokens of those who are in still hold
DISK_LOW_BYTES = 16 * MIB  # below it the engine is not ready: the next reply may not fit

# --- settings and files that people write -------------------------------------------------------
PROBLEMS_TOLD = 100  # of all files, to a client

# --- queues -------------------------------------------------------------------------------------
PROMPT_QUEUE = 4  # prompts that may wait while a reply streams

# --- stories ------------------------------------------------------------------------------------
HISTORY_PAGE_MESSAGES = 100
TITLE_CHARS = 60
SESSIONS_LISTED = 200
TRASH_KEPT_S = 30 * 24 * 3600.0  # a deleted story can be taken back for a month
BRANCHES_LISTED = 50  # ends of branches, or messages in the trash, in one list
BRANCH_NAME_CHARS = 40
PATH_IDS_KEPT = 200_000  # messages of stories whose way is kept in memory, about 16 bytes each
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
IMPORT_PICTURE_BYTES = 32 * MIB  # a card that is a picture
IMPORT_CHUNK_BYTES = 16 * MIB  # of one text inside a picture, inflated: a card with its assets
IMPORT_PNG_CHUNKS = 16_000  # 32 MiB in the 8 KiB pieces that old programs write, four times over
IMPORT_EXIF_TAGS = 1_000
IMPORT_ZIP_MEMBERS = 4_000
IMPORT_ZIP_NAME_BYTES = 512  # on average, of a member's entry in the directory of an archive
IMPORT_ZIP_BYTES = 64 * MIB  # read from one archive, inflated
IMPORT_ZIP_RATIO = 200  # JSON shrinks to a fiftieth at best; a bomb to a thousandth
IMPORT_JSON_DEPTH = 64
IMPORT_JSON_VALUES = 1_000_000  # objects, lists and their parts: about 100 MB of values
IMPORT_JSON_DIGITS = 40  # of a whole number; longer ones are no numbers of any program
IMPORT_ENTRIES = 20_000  # of one lorebook
IMPORT_MESSAGES = 200_000  # of one chat
IMPORT_SPEAKERS = 50  # named in a question
IMPORT_GROUP_CHATS = 1_000  # of one group
IMPORT_GROUPS = 200  # that chats and cards which come later are looked for in
LIBRARY_BYTES = 2048 * MIB  # of an archive of a whole home, packed and unpacked
LIBRARY_MEMBERS = 60_000  # files in it
LIBRARY_ROW_BYTES = 64 * MIB  # of one row: a lorebook
IMPORT_SCRIPTS = 500  # of one card or file
IMPORT_PERSONAS = 1_000

# --- recall -------------------------------------------------------------------------------------
EMBED_TOKENS = 256  # the length all-MiniLM-L6-v2 was trained for; longer input is cut
CHUNK_TOKENS = 160  # a paragraph or two: one thought per vector
EMBED_BATCH_TOKENS = 256  # per run: one long text or several short ones; more is slower and larger
RECALL_LORE_RESULTS = 6
RECALL_MEMORY_RESULTS = 12  # the budget and what a memory is worth cut before
MEMORIES_TITLED = 8  # of an older version, that get the speakers' names with every new exchange
RECALL_BESIDE = 2  # best memories that bring the exchanges beside them along, while there is room
RECALL_NEARLY = 3  # passages that /why tells of though they were not recalled
RECALL_TOKENS = 900  # share of the prompt given to recalled text
EMBED_CHARS = 16_000  # read per text before the cut to EMBED_TOKENS; whitespace costs no tokens
EMBED_REQUEST_TEXTS = 32  # texts per background request: stored, then the next ones are fetched
QUERY_VECTORS_KEPT = 256  # 1.5 KiB each: lines sent again, and what the next lines follow upon
MEMORY_REST_S = 30.0  # without a new exchange, until memories get vectors that no prompt needs yet
EMBED_RETRY_S = 600.0  # a model that failed is tried again after so long
EMBED_PROBE_S = 120.0  # first run of the native modules in a child process, from an SD card
CHUNK_OVERLAP_TOKENS = 24  # repeated only where a sentence itself had to be split
INDEXES_OPEN = 4  # scopes with vectors in memory; the least recently used one is closed
EXACT_ROWS = 20_000  # up to here exact search takes under 3 ms, so no graph is kept
INDEX_TAIL_ROWS = 2_000  # vectors newer than the graph, searched exactly, before they join it
INDEX_DEAD_SHARE = 0.3  # deleted rows in a graph before it is built anew
INDEX_SAVE_IDLE_S = 20.0  # a graph file is 1.7 KiB per row: written when idle, never per turn
LATE_CANDIDATES = 50  # ranked again token by token
RECALL_CANDIDATES = 60  # taken from each list before fusion
RECALL_PARTS = 3  # questions of one line that are looked for each by itself
RECALL_CONTEXT_CHARS = 400  # the end of scene and last lines that widens a search
KEYWORD_TERMS = 48  # rare words of a line that are looked up
CONTEXT_TERMS = 6  # of its context: the newest ones
TERMS_PAGE = 500  # passages whose words are counted or read at once
WARM_PASSAGES = 5_000  # scopes with more are read as soon as a story is opened: fewer take 0.1 s
MARKS_PAGE = 5_000  # marks of rows read at once, which takes 12 ms
VECTORS_PAGE = 2_000  # rows read at once into an index, so that the database answers others too
INLINE_ROWS = 10_000  # up to here a search takes 0.4 ms: less than a thread switch is worth
INLINE_CHARS = 50_000  # up to here text is cut into passages on the spot, 10 ms
PROGRESS_INTERVAL_S = 0.5  # between two progress lines of one job
PASSAGES_LISTED = 100
SOURCE_BYTES = 4 * MIB  # one file of lore: a long novel
SOURCES_FOLDER = 2_000  # files of lore in one synced folder
FOLDER_RETRY_S = 30.0  # between two looks for a synced folder that is gone, such as an unmounted disk
FOLDER_STEP_MS = 400  # of the watching thread: wakes twice a second, ends so fast at shutdown
FOLDER_SETTLE_S = 2.0  # until the system surely tells of changes in a folder
FOLDER_RESCAN_MS = 60_000  # a look at the times of all files, in case a notification was lost
FOLDER_POLL_MS = 5_000  # between two looks into a folder on a network mount

# --- prompts ------------------------------------------------------------------------------------
CONTEXT_USED_SHARE = 0.95  # token counts are estimates; a few per cent stay free
CUE_LORE_CHARS = 120_000  # of a world, read once as a whole by the offline narrator
CUE_EARLIER = 80  # replies in other stories whose phrases are not used again
CUE_LOOK_BACK = 4000  # messages of all stories among which those are looked for
PROMPT_MESSAGES = 400  # more never fit a window; reading them would only cost time

LOOP_CHARS = (
    2_400  # of one text repeated without a break: a litany is shorter, and half a minute is bearable
)
LOOP_TIMES = 4
LOOP_SENTENCES = 16  # times that one sentence comes, making up a third of what is said
LOOP_SENTENCE_LETTERS = 16
LOOP_SENTENCES_READ = 24  # the last ones of a reply, of which
LOOP_SENTENCES_FEW = 8  # different ones are no story any more
LOOP_BLANK_CHARS = 160  # at the end of a reply
LOOP_PHRASE_LETTERS = 8  # of such a sentence; "No." may come often
LOOP_PHRASE_CHARS = 600  # of some words repeated and nothing else
LOOP_TAIL_CHARS = 8_000  # of a reply in which a loop is looked for
THINKING_TOKENS = 1_500  # room of small hidden requests for a model that thinks all the same
SUMMARY_CHARS = 2_400  # what SUMMARY_TOKENS are at most; the room for thinking is not meant for it
SUMMARY_FAILURES_KEPT = 200  # stories whose failures are remembered
SUMMARY_FAILURES = 2  # in a row, after which a story's summaries wait ...
SUMMARY_WAIT_TURNS = 8  # ... so many turns, then twice as many, up to ...
SUMMARY_WAIT_TURNS_MAX = 128

# --- providers ----------------------------------------------------------------------------------
CONNECT_TIMEOUT_S = 10.0
FIRST_PIECE_TIMEOUT_S = 600.0  # a reasoning model may be queued for minutes
IDLE_TIMEOUT_S = 90.0
OWN_FIRST_TIMEOUT_S = 3600.0  # a large model on a small board reads a long prompt for half an hour
OWN_IDLE_TIMEOUT_S = 900.0  # it may swap, or somebody else's prompt is read in between
PROBE_TIMEOUT_S = 0.3  # looking for local servers must not be felt
SSE_LINE_BYTES = 1 * MIB
ERROR_BODY_BYTES = 64 * KIB
RETRY_AFTER_MAX_S = 60.0
TRIES_BEFORE_FIRST_PIECE = 3
FIRST_SIGN_TIMEOUT_S = 120.0  # a cloud endpoint sends a comment or a word before that, or is dead
FINISH_GRACE_S = 2.0  # usage follows the finish reason; a line kept open after it delays no end
RETRY_BASE_S = 0.5  # full jitter below RETRY_BASE_S * 2**tries
RETRY_CAP_S = 8.0
LOADING_POLL_S = 1.0  # a server that says it is loading is asked again after this
WRITE_TIMEOUT_S = 60.0  # a long prompt over a slow uplink
CLOSE_TIMEOUT_S = 1.0  # closing a connection must not delay Esc
DRAIN_S = 0.1  # reading a finished response to its end keeps the connection for the next turn
WHOLE_REPLY_BYTES = 4 * MIB  # a reply that came as one JSON document instead of a stream
ERROR_TEXT_CHARS = 300  # of a provider's own words in a sentence for the user
CLIENTS_MAX = 256  # of one engine at once
CLIENTS_MAX_SHARED = 2000  # of each of several engines on one database; those are no small boards
CONNECTIONS_SPARE = (
    256  # open sockets beside those of clients: who is about to come in, /readyz, imports
)
CONNECTIONS_PER_PROVIDER = 2 * CLIENTS_MAX  # a story and a summary or draft for each client
GATE_GROW_S = 5.0  # without a refusal, before one request more is tried at once
GATE_FORGET_S = 600.0  # without a request, before what a full server said is forgotten
GATES = 64  # models of one endpoint whose lines are kept apart
KEEPALIVE_S = 90.0  # the next turn within it needs no new TLS handshake
KEY_COMMAND_TIMEOUT_S = 20.0  # a password manager may ask for a fingerprint
KEY_BYTES = 8 * KIB  # no API key is longer; a wrong file name must not be read whole

# --- catalogue of models ------------------------------------------------------------------------
CATALOGUE_TIMEOUT_S = 8.0  # per provider, in the background, all at once
CATALOGUE_BYTES = 16 * MIB  # OpenRouter's list is about 1 MiB
CATALOGUE_MODELS = 2_000  # per provider
CATALOGUE_MAX_AGE_S = 24 * 3600.0  # prices change slowly; a start must not wait for lists
OLLAMA_SHOWN_MODELS = 50  # one request each to learn the context length

# --- local models -------------------------------------------------------------------------------
LOCAL_CONTEXT_TOKENS = 8192  # more costs memory and, on a Pi, minutes of reading
LOCAL_CONTEXT_MIN_TOKENS = 1024  # below it no story can be played
LOCAL_RESERVE_BYTES = 256 * MIB  # left for the engine, the TUI and the system
LOCAL_OVERHEAD_BYTES = 192 * MIB  # llama.cpp's compute buffers and the process itself
LOCAL_THREADS_MAX = 8  # generation is bound by memory bandwidth long before that
LOCAL_IDLE_S = 15 * 60.0  # an unused model gives its memory back
LOCAL_PROGRESS_S = 0.5  # how often loading progress is looked at
LOCAL_STOP_S = 2.0  # from asking the child to end to killing it
GGUF_HEADER_BYTES = 32 * MIB  # token lists come before the chat template
GGUF_ENTRIES = 4_096

# --- the game layer -----------------------------------------------------------------------------
SHEET_TEXT_CHARS = 120  # a name or a value: a line, not a paragraph
QUICK_REPLIES = 9  # one for each of the keys 1 to 9
QUICK_REPLY_NAME_CHARS = 24  # of a label: nine of them are two rows of a terminal
QUICK_REPLY_CHARS = 2_000  # a line or a command of the player

# --- offline narrator ---------------------------------------------------------------------------
OFFLINE_WORDS_PER_S = 50.0  # faster than anyone reads, slow enough to be seen arriving
OFFLINE_READ_CHARS = 600  # of a player's line; what follows is colour
OFFLINE_DICE = 20  # dice in one throw: a line of numbers, not a page
OFFLINE_DIE_SIDES = 1000
OFFLINE_PHRASE_FILES = 100  # of the player, read whole with the first reply

# --- processes ----------------------------------------------------------------------------------
HARD_EXIT_S = 5.0
ENGINE_START_S = 20.0  # a Pi Zero reading imports from an SD card
LAUNCH_POLL_S = 0.05  # a starting engine is looked for this often, so that joining is not felt
ENGINE_LOG_BYTES = 4 * MIB  # a longer log is set aside as engine.log.1: at most twice this on disk

# --- the TUI ------------------------------------------------------------------------------------
STORY_MESSAGES = 4_000  # messages a client holds, 4 MB; a reader further back lets the newest go
PANE_ROWS_KEPT = 2_000  # laid-out rows remembered: about ten screens of a tall terminal
COLUMNS_MIN = 40  # below it the screen says so instead of breaking
ROWS_MIN = 12
SIDEBAR_FROM_COLUMNS = 90
READING_COLUMNS = 96  # longer lines are hard to read back from
INPUT_ROWS = 6
FILTER_CHARS = 200  # typed at a list or a search: more than any name, few enough for every key
TICK_HZ_LOCAL = (
    120.0  # what a screen shows at most; of 200 words a second more than half are drawn at once
)
FRAME_EARLY = 0.75  # of the time between two frames: so much before it is due a word is drawn at once
TICK_HZ_SSH = 20.0  # a frame per 50 ms is smooth to read and kind to the line
SPINNER_S = 0.15
STORY_FIRST_S = (
    0.25  # so long what keys need waits for a story that is on its way to a screen that starts
)
METER_S = 1.0  # numbers on screen move at most this often: every change is bytes
DRAFT_IDLE_S = 1.0  # a draft is written when typing rests this long
LINK_CONNECT_S = 5.0
REFUSAL_CHARS = 300
UNCONFIRMED_PROMPTS = 16
POPUP_ITEMS = 1_000
TREE_TEXTS = 64  # messages of other branches a client has read and keeps
TREE_TEXT_S = 0.15  # the tree's cursor rests so long before a text is fetched: walking asks nothing
TREE_REFRESH_S = 0.5  # between two looks at a tree that changes

# --- the screen ---------------------------------------------------------------------------------
CLUSTER_CODE_POINTS = 16  # code points of one on-screen character: the longest emoji has 10
COMBINING_MARKS = 4  # marks on one character: real scripts use up to 4, stacked-mark tricks hundreds
TAB_COLUMNS = 4
LINK_MESSAGE_BYTES = (
    16 * MIB
)  # ours sends half a MiB; a V1 engine 10,000 messages in one frame of 4 MiB
DIFF_GAP_COLUMNS = 4  # unchanged cells rewritten rather than jumped over: a jump costs 3 to 4 bytes
DIFF_REPEAT_COLUMNS = 8  # from here on a repetition may be shorter than the glyphs themselves
SYNC_FRAME_BYTES = 256  # above it a frame is drawn behind mode 2026, or with the cursor hidden
SEQUENCE_BYTES = 4 * KIB  # longest key or answer of a terminal; more of it is dropped
PASTE_BYTES = 1 * MIB  # several chapters; the rest of a longer paste is dropped
PASTE_IDLE_S = 5.0  # a paste whose end never comes must not swallow keys for ever
ESCAPE_WAIT_S = 0.02  # between ESC and the rest of its sequence, on a local terminal
ESCAPE_WAIT_SSH_S = 0.05  # the same over SSH: more than most links split them by
BURST_WAIT_S = 0.05  # between two reads of text that was pasted and not marked
INPUT_HISTORY = 200  # submitted lines that Up can bring back
KILL_RING = 16
UNDO_STEPS = 200
UNDO_CHARS = 1_000_000  # all remembered versions of the input together
RECENT_COMMANDS = 12  # commands the palette remembers as recently used
RESTORE_S = 1.0  # longest that leaving the screen may wait for a blocked terminal
TTY_READ_BYTES = 64 * KIB
CLIPBOARD_BYTES = 72 * KIB  # xterm and tmux drop OSC 52 texts over about 100,000 bytes of base64
GC_OBJECTS = 20_000  # new objects between two looks of the garbage collector: a few MB at most
STATUS_ROWS = 5  # news of several rows: about 380 characters at 80 columns; longer ones get a popup
NOTICE_CHARS_PER_S = 15.0  # long news stay as long as a slow reader needs
QUICK_REPLIES_FROM_ROWS = 16  # a smaller screen keeps the row for its story; the keys work all the same
NOTICE_S = 4.0  # news in the status line: long enough to read a sentence
NOTICE_BAD_S = 12.0  # bad news: long enough to look up first
SCREEN_DCS_BYTES = 700  # GNU screen passes at most 768 bytes of one string on
DIFF_SHIFT_CHANGES = 12  # fewer changed cells in a row are drawn faster than shifted
DIFF_SHIFT_COLUMNS = 4  # cells that may be inserted or deleted at once
PACE_BYTES = 512  # over SSH the terminal is asked for a sign of life this often: under 1 % more bytes
PACE_WINDOW_BYTES = 1024  # unanswered: a quarter of a second on a 4 kB/s line
PACE_PATIENCE_S = 15.0  # a screen full of text on the slowest line; who is silent longer never answers
PACE_LEAVE_S = 0.5  # answers on their way must not be typed into the shell
THEME_FILES = 100
THEME_BYTES = 64 * KIB  # forty roles fit in 4
DIFF_SHIFT_SAMPLE = 6  # equal glyphs that make a shift worth a closer look

# --- lorebooks ----------------------------------------------------------------------------------
LORE_KEY_CHARS = 2_000  # of a key that is a pattern; real ones have up to some hundred
LORE_PATTERN_DEPTH = 40  # brackets in brackets
LORE_PATTERN_S = 0.02  # for one pattern on the text of one scan
LORE_PATTERNS_S = 0.25  # for all of them: a line must not wait longer
LORE_REMEMBERED_TEXTS = 256  # messages and entries whose keys are known
LORE_REMEMBERED_CHARS = 20_000  # of each
LORE_REMEMBERED_WORDS = 20_000  # with the keys that may be in them
LORE_ENTRIES = 20_000  # of all books that hold in one story: 26 ms to scan, seconds to make ready
LORE_SETS_READY = 4  # sets of books kept ready for scanning
LORE_SHARE = 25  # percent of the context that entries and recalled lore may have
LORE_SCAN_DEPTH = 1_000  # messages, newest first
LORE_PASSES = 1_200  # of one scan: reading back to LORE_SCAN_DEPTH, and a long row of entries
