"""The state as a frame of cells. Pure: everything in here.

In order: ``screen`` (all of it), ``panels`` (header, sidebar, input line), ``popups``, ``form_panel``,
``tree_panel``, ``portrait``.
"""
