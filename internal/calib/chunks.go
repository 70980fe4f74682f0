package calib

import (
	"context"
	"sync"
	"unsafe"

	"github.com/onnx-compress/onnx-compress/internal/ordered"
	"github.com/onnx-compress/onnx-compress/internal/rss"
)

// Part says which of the samples are looked at: the chunks that fall to one of so many parts.
type Part struct {
	Index int // from 0
	Of    int // 0 for all samples
}

// How many chunks there are, where there are as many blocks: at least so many, more where each has so many blocks all the same, and
// never more than that.
const (
	fewestChunks   = 16
	blocksOfAChunk = 8
	mostChunks     = 64
)

// cut says how the blocks of all samples (feed.Feed.Blocks) are cut into chunks, which are summed each for itself. It depends on
// nothing but their number.
type cut struct{ Blocks, Chunks int }

func cutInto(blocks int) cut {
	return cut{blocks, min(blocks, max(fewestChunks, min(blocks/blocksOfAChunk, mostChunks)))}
}

// of is the chunk that a block belongs to.
func (c cut) of(block int) int {
	if c.Chunks < 2 {
		return 0
	}
	return ((block+1)*c.Chunks - 1) / c.Blocks
}

// first is the first block of a chunk.
func (c cut) first(chunk int) int {
	if c.Chunks == 0 {
		return 0
	}
	return chunk * c.Blocks / c.Chunks
}

// part returns the chunks of a part, from first (included) to end (excluded).
func (c cut) part(p Part) (first, end int) {
	of := max(p.Of, 1)
	return p.Index * c.Chunks / of, (p.Index + 1) * c.Chunks / of
}

// summed is what chunks showed at one place.
type summed[T any] interface {
	// settle ends the adding of runs.
	settle()
	// join takes in what the chunks before showed.
	join(before T)
	// numbers are where its sums lie, none where there are none yet.
	numbers() [][]float64
	// sum is what it has of sums, nil where there is none, and where its slot is noted.
	sum() (leaving, *[]float64)
}

// leaving is a sum whose numbers can leave memory.
type leaving interface {
	Leave(keep func(rows [][]float64) ([]float64, error)) (free [][]float64, err error)
	Return(fill func(lists [][]float64, kept []float64) error) error
	Drop() (free [][]float64)
}

// pending brings together what the chunks show, in their order, along a fixed tree: the sums do not depend on which chunks somebody
// else has summed. What waits for its other half leaves memory, where there are slots for it. The next chunk has begun when a run of
// it is added.
type pending[T summed[T]] struct {
	tree  ordered.Tree[T]
	slots *slots   // nil where all stays in memory
	begin func() T // what a chunk begins with

	mu   sync.Mutex
	open map[int]T // what runs are at work on
	now  int       // the chunk whose runs are being added
}

// at is what a chunk shows that runs are at work on.
func (p *pending[T]) at(chunk int) T {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.open[chunk]
	if !ok {
		one = p.begin()
		if p.open == nil {
			p.open = map[int]T{}
		}
		p.open[chunk] = one
	}
	return one
}

// reach says that a run of a chunk is to be added, in the order of the runs: those before it are complete.
func (p *pending[T]) reach(chunk int) error {
	for ; p.now < chunk; p.now++ {
		one := p.at(p.now) // empty where no run of it has come this far
		p.mu.Lock()
		delete(p.open, p.now)
		p.mu.Unlock()
		if err := comeBack(p.slots, one); err != nil {
			return err
		}
		one.settle()
		if err := p.tree.Put(ordered.Node[T]{Index: p.now, Value: one}, p.join); err != nil {
			return err
		}
		nodes := p.tree.Nodes()
		if err := leave(p.slots, nodes[len(nodes)-1].Value); err != nil {
			return err
		}
	}
	return nil
}

func (p *pending[T]) join(a, b T) (T, error) {
	if err := comeBack(p.slots, b); err != nil {
		return b, err
	}
	b.join(a)
	done(p.slots, a)
	return b, nil
}

// root is what all chunks showed, in memory.
func (p *pending[T]) root() (T, error) {
	root, ok, err := p.tree.Root(p.join)
	if ok && err == nil {
		err = comeBack(p.slots, root)
	}
	return root, err
}

// turn has what a run of a chunk shows added in its turn.
func (p *pending[T]) turn(ctx context.Context, turns *ordered.Turns, turn, chunk int, add func()) (err error) {
	done := turns.Do(ctx, turn, func() {
		if err = p.reach(chunk); err == nil {
			add()
		}
	})
	if err == nil {
		err = done
	}
	return err
}

// while has what chunks are open in memory while work goes on.
func (p *pending[T]) while(work func() error) error {
	for _, one := range p.open {
		if err := comeBack(p.slots, one); err != nil {
			return err
		}
	}
	if err := work(); err != nil {
		return err
	}
	for _, one := range p.open {
		if err := leave(p.slots, one); err != nil {
			return err
		}
	}
	return nil
}

// slots are places for sums that are not in memory, and memory for those that come back, both used again.
type slots struct {
	spool  *rss.Spool
	mu     sync.Mutex
	file   map[int][][]float64 // by length
	memory map[int][][]float64
}

func newSlots(spool *rss.Spool) *slots {
	return &slots{spool: spool, file: map[int][][]float64{}, memory: map[int][][]float64{}}
}

// Zeros returns so many zeros in memory.
func (s *slots) Zeros(n int) []float64 {
	last := s.taken(n)
	if last == nil {
		return make([]float64, n)
	}
	clear(last)
	return last
}

// Room returns so many numbers in memory.
func (s *slots) Room(n int) []float64 {
	if last := s.taken(n); last != nil {
		return last
	}
	return make([]float64, n)
}

// taken is memory for so many numbers that nobody uses, nil where there is none.
func (s *slots) taken(n int) []float64 {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return take(s.memory, n)
}

// take returns a list of so many numbers of those that are free, nil where there is none.
func take(free map[int][][]float64, n int) []float64 {
	list := free[n]
	if len(list) == 0 {
		return nil
	}
	free[n] = list[:len(list)-1]
	return list[len(list)-1]
}

// give takes lists back for others of their length.
func (s *slots) give(free map[int][][]float64, lists ...[]float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range lists {
		if len(v) > 0 {
			free[len(v)] = append(free[len(v)], v)
		}
	}
}

// leave has the sums of one leave memory.
func leave[T summed[T]](s *slots, one T) error {
	sum, slot := one.sum()
	if s == nil || sum == nil {
		return nil
	}
	free, err := sum.Leave(func(rows [][]float64) (kept []float64, err error) {
		*slot, err = s.spool.Rows(rows, func(count int) []float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return take(s.file, count)
		})
		return *slot, err
	})
	s.give(s.memory, free...)
	return err
}

// comeBack has the sums of one in memory.
func comeBack[T summed[T]](s *slots, one T) error {
	sum, slot := one.sum()
	if s == nil || sum == nil {
		return nil
	}
	if err := sum.Return(s.spool.Fill); err != nil {
		return err
	}
	s.empty(slot)
	return nil
}

// done gives back what the sums of one took, which is used up.
func done[T summed[T]](s *slots, one T) {
	sum, slot := one.sum()
	if s == nil || sum == nil {
		return
	}
	s.give(s.memory, sum.Drop()...)
	s.empty(slot)
}

// empty gives a slot back, whose pages nobody wants.
func (s *slots) empty(slot *[]float64) {
	rss.Forget(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(*slot))), 8*len(*slot)))
	s.give(s.file, *slot)
	*slot = nil
}
