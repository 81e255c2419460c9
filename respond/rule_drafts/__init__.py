"""Rules as people write them in the centre: a draft, a second person's approval, and then it is in force."""
