"""Long DataFrames (one row per series and time step) to arrays, and forecasts back to DataFrames."""
