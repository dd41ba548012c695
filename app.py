"""The app's router: `streamlit run app.py`."""

import streamlit as st

from workbench.ui import pages

st.set_page_config("Embedding workbench", page_icon=pages.ICON, layout="wide", initial_sidebar_state=256)
st.navigation(pages.router()).run()
