"""The client's only state and the only place that changes it. Pure: everything in here.

``update`` is the map: what happens with every input. ``model`` has all values. The rest by what it is about:

keys            ``bindings``, ``keyboard``, ``actions``
the input line  ``editor``, ``editor_motions``, ``commands`` and their completion, ``sending``, ``client_commands``
the story       ``transcript``, ``viewport``, ``checklist`` before there is one
over it         ``popups``, ``popup_items``, ``popup_keys``; ``form``, ``form_dialog``; ``tree_state``, ``tree_keys``
below it        ``status_line``
the engine      ``events``, ``story_events``
what goes out   ``effects``
"""
