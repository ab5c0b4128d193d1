"""What all dashboards are made of: queries, panels, RED rows, and the frame around them."""
