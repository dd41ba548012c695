"""The app's pages: functions that take their data as arguments and draw it with Streamlit."""
