package rss

// base is about what the program, its libraries and the runtime's sessions take beside all that is kept for later.
const base = 256 << 20

// Room is what may be kept of a limit for later, at least half of it: what the process takes anyway is left out.
func Room(limit int64) int64 { return max(limit/2, limit-base) }

// Limit is the least limit whose Room holds so many bytes.
func Limit(need int64) int64 { return need + min(need, base) }
