"""The wire between client and engine: its messages, as frames, and where it is spoken. Pure: everything here.

``messages`` has every one, ``codec`` their frames, ``tree_text`` how a tree is drawn as lines. Light on purpose:
this module is imported before the first frame, ``messages`` and ``codec`` are not.
"""

PATH = "/ws/rpc"  # of the WebSocket, since the first version of the protocol
PORT = 8000
IMPORT_PATH = "/import"  # of files that are sent to be imported
EXPORT_PATH = "/export"  # with a name behind it: of files that were exported
STATUS_PATH = "/status"  # what an engine says of itself, as JSON
