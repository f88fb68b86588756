"""Who speaks: customer, student, judge, teacher, and the chat models behind them."""
