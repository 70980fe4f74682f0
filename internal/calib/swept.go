package calib

import (
	"context"
	"io"
)

// Swept has the sums of sites over a part of the samples, until it is closed.
type Swept struct {
	c      *collector
	unread []int // of each station, how many sites read it whose statistics were not asked for yet
}

func newSwept(c *collector) *Swept {
	s := &Swept{c: c, unread: make([]int, len(c.stations))}
	for _, k := range c.of {
		s.unread[k]++
	}
	return s
}

// Stats are the statistics of some of the sites, by their number: of each once.
func (s *Swept) Stats(sites []int) (out []Stats, err error) {
	v := s.c.view(sites)
	err = finish(v.heading(), v.account, v, func(one Stats) error {
		out = append(out, one)
		return nil
	})
	for _, i := range sites {
		k := s.c.of[i]
		if s.unread[k]--; s.unread[k] == 0 {
			delete(s.c.done, s.c.stations[k])
		}
	}
	return out, err
}

// Write writes the sums of some of the sites, by their number, of which Merge makes statistics together with those of the other parts.
//
// The format is little-endian: the magic with its version; what was summed, as JSON behind its length in bytes; for each reading, and then
// for each site that has sensitivities, the number of nodes of the tree over the chunks, and for each its level, its number among those
// of the level, the length of what follows, and that. Of a reading these are the positions, samples and positions of either half; the
// number of axes of the first sample's input, and the axes; the weights of positions as in Stats.WriteTo; the number of
// counts, and the counts; the number of kept runs, and for each its half, the number of columns, these in float32, and the
// roots of their weights, 0 or as many; then the sums, if any: for each group the K×K numbers, the second half's in the rows of the lower
// triangle, the second half's diagonals, [groups, K], and the first moments, [2, groups, K]. Of a site: the positions, Σn², the number of
// groups and Σ S² of each, what kept gradients away, then the upper triangles of the groups, if any, row by row. Behind the
// last site follow WᵀW of those whose scale is pulled back, in their order, as moments are written.
func (s *Swept) Write(ctx context.Context, sites []int, w io.Writer) error {
	return s.c.view(sites).write(ctx, w)
}

// Close removes the temporary file. Statistics stay.
func (s *Swept) Close() { s.c.close() }

// all numbers all sites.
func (c *collector) all() []int {
	out := make([]int, len(c.sites))
	for i := range out {
		out[i] = i
	}
	return out
}

// view is what a collector of some of the sites would be after the same sweep.
func (c *collector) view(sites []int) *collector {
	v := &collector{o: c.o, none: c.none, cut: c.cut, part: c.part, slots: c.slots, done: c.done, account: c.account.of(sites)}
	index := map[int]int{}
	for _, i := range sites {
		k, ok := index[c.of[i]]
		if !ok {
			k = len(v.stations)
			index[c.of[i]] = k
			v.stations = append(v.stations, c.stations[c.of[i]])
		}
		v.sites, v.of = append(v.sites, c.sites[i]), append(v.of, k)
		if c.sensors != nil {
			v.sensors = append(v.sensors, c.sensors[i])
		}
	}
	return v
}
