"""What every benchmark needs: servers, load, pictures, tables and plots."""
