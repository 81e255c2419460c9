"""What every case of the ordinance shares: states and steps, versions, numbers, history, clocks."""
