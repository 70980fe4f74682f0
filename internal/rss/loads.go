package rss

// Loads tells whether the weights of two models, of so many bytes, fit half of a limit where sessions of both hold them, the second made
// last: a session holds them once, and twice while it is made. Where they do not, they are to stay in their files.
func Loads(before, after, limit int64) bool { return before+2*after <= limit/2 }
