package rss

// Base is about what the program, its libraries and the runtime's sessions take beside all that is kept for later.
const Base = 256 << 20

// Room is what may be kept of a limit for later, at least half of it: what the process takes anyway is left out.
func Room(limit int64) int64 { return max(limit/2, limit-Base) }

// Limit is the least limit whose Room holds so many bytes.
func Limit(need int64) int64 { return need + min(need, Base) }
