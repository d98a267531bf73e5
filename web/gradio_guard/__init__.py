"""What makes Gradio safe, small and fast enough to mount."""
