package compress

import (
	"errors"
	"sync"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// store has what the sites are factored from, and their factorizations so far: in memory as far as that goes, else in a
// temporary file. Either way it answers the same, to the last bit.
type store struct {
	algebra linalg.Backend
	space   *workspace
	shelf   *shelf // nil where all is in memory
	limit   int64  // of what is on the shelf; a site is factored anew whenever it is asked about beyond that

	whole *store // what sites have that are not here; nil for nothing
	found *findings

	mu      sync.Mutex
	metrics map[string]decomp.Metric // by site
	spectra map[string]decomp.Spectrum
	turns   map[string]*sync.Mutex // by site and basis
	adopted []*narrower            // what is closed with the store
	grounds map[string]*ground     // by the axes whose heads are turned; closed with the store too
}

// shelved is how many times the memory limit may lie in a file of what sites are factored from.
const shelved = 4

// newStore makes a store, in a file where not all is held in memory.
func newStore(algebra linalg.Backend, hold bool, memory int64) (*store, error) {
	s := &store{algebra: algebra, space: newWorkspace(memory), limit: shelved * memory, metrics: map[string]decomp.Metric{}, spectra: map[string]decomp.Spectrum{}}
	if hold {
		return s, nil
	}
	var err error
	s.shelf, err = newShelf(memory)
	return s, err
}

// beside makes a store for sites of a narrower model. The others stay where they are.
func (s *store) beside(memory int64) (*store, error) {
	next, err := newStore(s.algebra, s.shelf == nil, memory)
	if err == nil {
		next.space, next.whole = s.space, s
	}
	return next, err
}

// adopt closes a narrower model with the store.
func (s *store) adopt(n *narrower) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adopted = append(s.adopted, n)
}

// has tells whether a site is factored from what is here.
func (s *store) has(o *seen) bool {
	if s.whole == nil {
		return true
	}
	_, here := s.metrics[o.site.Name]
	return here
}

// metric is what a site is factored under, wherever that is kept.
func (s *store) metric(site string) decomp.Metric {
	if m, here := s.metrics[site]; here || s.whole == nil {
		return m
	}
	return s.whole.metric(site)
}

// ground is the model in which the heads of some axes are turned, which make makes where there is none yet.
func (s *store) ground(axes string, make func() (*ground, error)) (*ground, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.grounds[axes]; g != nil {
		return g, nil
	}
	g, err := make()
	if err != nil {
		return nil, err
	}
	if s.grounds == nil {
		s.grounds = map[string]*ground{}
	}
	s.grounds[axes] = g
	return g, nil
}

// put keeps what a site is factored from, and returns it as it is kept.
func (s *store) put(site string, metric decomp.Metric) (kept decomp.Metric, err error) {
	kept, err = s.shelf.metric(metric)
	s.metrics[site] = kept
	return kept, err
}

// close removes the file. Nothing that the store gave may be read after that.
func (s *store) close() error {
	for _, n := range s.adopted {
		n.close()
	}
	for _, g := range s.grounds {
		g.close()
	}
	s.adopted, s.grounds = nil, nil
	return errors.Join(s.found.close(), s.shelf.Close())
}

// factorization names a site's factorization by a method.
func factorization(o *seen, m *decomp.Method) string { return o.site.Name + "\x00" + m.Name }

// spectrum returns a site's factorization by a method: the one held, or a new one that is its equal. It is for one goroutine at a time,
// together with those that are made from the same basis (turn).
func (s *store) spectrum(o *seen, m *decomp.Method) (decomp.Spectrum, error) {
	if !s.has(o) {
		return s.whole.spectrum(o, m)
	}
	s.mu.Lock()
	held := s.spectra[factorization(o, m)]
	s.mu.Unlock()
	if held != nil {
		return held, nil
	}
	if err := s.found.site(o.site.Name).refused(m.Name); err != nil {
		return nil, err
	}
	if known, err := s.found.spectrum(o, m); known != nil || err != nil {
		return known, err
	}
	if m.From != nil {
		basis, err := methodNamed(m.Effort, m.Basis)
		if err != nil {
			return nil, err
		}
		made, err := s.spectrum(o, &basis)
		if err == nil {
			err = s.keep(o, &basis, made)
		}
		if err != nil {
			return nil, err
		}
		return m.From(made)
	}
	kernel, metric, err := s.of(o)
	if err != nil {
		return nil, err
	}
	return m.Factor(s.algebra, kernel, metric)
}

// turn waits until no other method that shares a basis with this one is at work at a site.
func (s *store) turn(o *seen, m *decomp.Method) (done func()) {
	key := factorization(o, m)
	if m.From != nil {
		key = o.site.Name + "\x00" + m.Basis
	}
	s.mu.Lock()
	if s.turns == nil {
		s.turns = map[string]*sync.Mutex{}
	}
	if s.turns[key] == nil {
		s.turns[key] = &sync.Mutex{}
	}
	turn := s.turns[key]
	s.mu.Unlock()
	turn.Lock()
	return turn.Unlock
}

// of returns what a site is factored from.
func (s *store) of(o *seen) (decomp.Kernel, decomp.Metric, error) {
	kernel, err := o.site.Load()
	if err != nil {
		return kernel, decomp.Metric{}, err
	}
	return kernel, s.metric(o.site.Name), nil
}

// keep holds a factorization that has been asked, as far as there is room.
func (s *store) keep(o *seen, m *decomp.Method, made decomp.Spectrum) error {
	if !s.has(o) {
		return s.whole.keep(o, m, made)
	}
	if s.shelf != nil {
		if s.shelf.taken() > s.limit {
			return nil
		}
		if err := made.Move(s.shelf.numbers); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spectra[factorization(o, m)] = made
	return nil
}

// known is what was found at a site before, nil for nothing.
func (s *store) known(o *seen) *finding {
	switch {
	case s.whole == nil:
		return s.found.site(o.site.Name)
	case !s.has(o):
		return s.whole.known(o)
	}
	return nil // it has become another
}

// floor returns what a method in closed form loses at a site.
func (s *store) floor(o *seen, m *decomp.Method) (decomp.Floor, error) {
	if c := s.known(o).closed(m.Name); c != nil {
		return c.floor()
	}
	kernel, metric, err := s.of(o)
	if err != nil {
		return decomp.Floor{}, err
	}
	defer s.turn(o, m)()
	f, made, err := m.Floor(s.algebra, kernel, metric)
	if refused := (*decomp.RefusedError)(nil); err == nil || errors.As(err, &refused) {
		if err := s.found.noteFloor(o, m, f, made, err); err != nil {
			return f, err
		}
	}
	if err == nil && made != nil {
		err = s.keep(o, m, made)
	}
	return f, err
}

// chain returns the factors of an option, with the shift that keeps the mean of
// the site's output where the errors were measured about it.
func (s *store) chain(o *seen, c option) (decomp.Chain, error) {
	defer s.turn(o, c.method)()
	spectrum, err := s.spectrum(o, c.method)
	if err != nil {
		return nil, err
	}
	chain, err := spectrum.Chain(c.rank)
	if err != nil || o.mean == nil {
		return chain, err
	}
	kernel, err := o.site.Load()
	if err != nil {
		return nil, err
	}
	chain[len(chain)-1].Shift, err = chain.BiasShift(kernel, o.mean)
	return chain, err
}

// holdable tells whether the moments of all sites and their factorizations by all
// methods fit into half the room of the memory limit. A factorization is counted as a copy of the
// moment and two of the weight.
func (a *Analysis) holdable(o Options) bool {
	var need float64
	for i := range a.Sites {
		site := &a.Sites[i]
		k, moment := site.Kernel, 0.0
		if o.Source != nil {
			moment = float64(calib.InputBytes(site, len(a.Calibrate))) + 8*float64(k.Out)*float64(k.Rows())
		}
		for _, m := range a.methods {
			if m.Accepts(k) == nil {
				need += moment + 16*float64(k.Params())
			}
		}
		need += moment
	}
	return need <= float64(rss.Room(o.Memory))/2
}
