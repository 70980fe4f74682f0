package calib

import (
	"math/bits"

	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
)

// collector is the state of one sweep.
type collector struct {
	o        Options
	sites    []rewrite.Site
	stations []*station
	of       []int    // the station of each site
	values   []string // what the stations read, each value once
	from     []int    // the value of each station
	probe    *probe   // without probes of sensitivity

	gradients *gradients // with them
	sensors   []*sensor  // of each site

	none    string // why no gradients were used where they could have been, empty in the common case
	cut     cut
	part    Part
	slots   *slots   // where sums lie that wait for others, nil for the heap
	backlog *backlog // of runs, where those that runs are added to lie in slots too
	account account
	done    map[*station]Stats
}

// sumsPart is the share of the memory limit, in eighths, that sums may take in the heap; and shedPart that from which on what lies in a file
// leaves memory.
const (
	sumsPart = 4
	shedPart = 6
)

// atWork is how many times the sums may be in the heap though those that wait for others lie in a file: those of the chunk under way, and of
// the next one or those that they are added to.
const atWork = 2

// cutInto says how many blocks there are, and which part of them is looked at.
func (c *collector) cutInto(blocks int, part Part) error {
	c.cut, c.part = cutInto(blocks), part
	most := c.o.Memory / 8 * sumsPart
	if c.sums()+c.waiting() > most {
		spool, err := rss.NewSpool(c.o.Memory / 8 * shedPart)
		if err != nil {
			return err
		}
		c.slots = newSlots(spool)
	}
	if c.slots != nil && atWork*c.sums() > most {
		c.backlog = newBacklog(c)
	}
	first, _ := c.cut.part(part)
	for _, st := range c.stations {
		st.cut, st.seen.now, st.seen.slots = c.cut, first, c.slots
	}
	for _, s := range c.sensors {
		s.cut, s.seen.now, s.seen.slots = c.cut, first, c.slots
	}
	return nil
}

// waiting is about what all sums take that wait for others at a time.
func (c *collector) waiting() int64 {
	return int64(bits.Len(uint(max(c.cut.Chunks-1, 0)))) * c.sums()
}

// sums is what the sums of all stations and sensors take.
func (c *collector) sums() (bytes int64) {
	for _, st := range c.stations {
		bytes += InputBytes(st.site, c.o.Samples)
	}
	for _, s := range c.sensors {
		bytes += sensitivityBytes(s.site, c.o.Memory)
	}
	return bytes
}

// reach completes the chunks before one.
func (c *collector) reach(chunk int) error {
	for _, st := range c.stations {
		if err := st.seen.reach(chunk); err != nil {
			return err
		}
	}
	for _, s := range c.sensors {
		if err := s.seen.reach(chunk); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) close() {
	if c.slots != nil {
		_ = c.slots.spool.Close() // a temporary file
	}
}

func newCollector(sites []rewrite.Site, inputs []samples.InputSpec, o Options) *collector {
	c := &collector{o: o, sites: sites, of: make([]int, len(sites)), done: map[*station]Stats{}}
	index := map[string]int{}
	for i := range sites {
		s := &sites[i]
		if o.Probes > 0 {
			c.sensors = append(c.sensors, newSensor(s, o.Memory, o.Samples))
		}
		c.of[i] = -1
		for k, st := range c.stations {
			if sameColumns(st.site, s) {
				c.of[i] = k
			}
		}
		if c.of[i] >= 0 {
			continue
		}
		c.of[i] = len(c.stations)
		c.stations = append(c.stations, newStation(s, o))
		v, ok := index[s.Input]
		if !ok {
			v = len(c.values)
			index[s.Input] = v
			c.values = append(c.values, s.Input)
		}
		c.from = append(c.from, v)
	}
	return c
}

// activations is what the sites' inputs take, and with sensitivities their outputs' gradients, in bytes a sample.
func (c *collector) activations() (bytes int64) {
	seen := map[int]bool{}
	for k, st := range c.stations {
		if !seen[c.from[k]] {
			seen[c.from[k]] = true
			bytes += inputBytes(st.site)
		}
	}
	for _, s := range c.sensors {
		bytes += outputBytes(s.site)
	}
	return bytes
}

// batch is how many samples run at once, whatever the number of threads.
func (c *collector) batch() int {
	if each := c.activations(); each > 0 {
		return int(max(1, min(int64(c.o.Batch), c.o.Memory/4/each)))
	}
	return c.o.Batch
}

// workers is how many there can be with runs of so many samples, of which one holds that many bytes in the runtime, in what the sums leave
// of the memory.
func (c *collector) workers(inputs []samples.InputSpec, batch int, held int64) int {
	sums, largest := c.o.Memory/backlogPart, int64(0)
	switch {
	case c.slots == nil:
		sums = c.sums() + c.waiting()
	case c.backlog == nil:
		sums = atWork * c.sums()
	}
	for _, st := range c.stations {
		largest = max(largest, workerBytes(st.site, c.o.Samples))
	}
	for _, s := range c.sensors {
		largest = max(largest, sensitivityBytes(s.site, c.o.Memory)+workerSpare)
	}
	run := c.activations()
	if samples.Batch(inputs) == 0 { // else the model's own batch is counted already
		run *= int64(batch)
	}
	return int(max(1, min(int64(c.o.Threads), (c.o.Memory-sums)/max(largest+run+held, 1))))
}

// heading says what was summed.
func (c *collector) heading() heading {
	h := heading{Cut: c.cut, Part: c.part, None: c.none}
	for _, st := range c.stations {
		h.Readings = append(h.Readings, st.reading)
	}
	for i := range c.of {
		s := siteForm{Name: c.sites[i].Name, Reading: c.of[i]}
		for _, n := range c.stations[c.of[i]].seen.tree.Nodes() {
			if shape := n.Value.shape; shape != nil && s.Shape == nil {
				s.Shape = outputShape(&c.sites[i], shape)
			}
		}
		if c.sensors != nil {
			s.Feeling = &c.sensors[i].feeling
		}
		h.Sites = append(h.Sites, s)
	}
	return h
}

// read returns what a station saw; statistics that share it share its matrices.
func (c *collector) read(k int) (Stats, error) {
	st := c.stations[k]
	one, known := c.done[st]
	if !known {
		root, err := st.seen.root()
		if err != nil {
			return one, err
		}
		one = root.finish()
		c.done[st] = one
	}
	return one, nil
}

// felt returns what a sensor saw.
func (c *collector) felt(i int) ([]*linalg.Matrix, error) {
	root, err := c.sensors[i].seen.root()
	if err != nil || root == nil {
		return nil, err
	}
	return root.mean(), nil
}
