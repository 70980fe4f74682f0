package rss

import "testing"

// Room never falls as the limit grows, is at least half of it, and Limit is its inverse.
func TestRoom(t *testing.T) {
	last := int64(0)
	for limit := int64(0); limit < 4<<30; limit += 1 << 20 {
		room := Room(limit)
		if room < last || 2*room < limit || room > limit || Limit(room) > limit+1 {
			t.Fatalf("of %d bytes there is room for %d, of a little less for %d, and %d are wanted for that", limit, room, last, Limit(room))
		}
		last = room
	}
	if got := Room(2 << 30); got != 2<<30-Base {
		t.Errorf("of 2 GiB there is room for %d bytes", got)
	}
}
