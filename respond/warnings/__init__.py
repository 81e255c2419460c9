"""National warnings of article 18: recorded, propagated, answered with measures. Nothing here issues one."""
