package compress

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// store has what the sites are factored from, and their factorizations so far: in memory as far as that goes, else the moments
// wait in a temporary file and a site is factored anew whenever it is asked about. Either way it answers the same, to the
// last bit.
type store struct {
	algebra linalg.Backend
	hold    bool
	space   *workspace

	mu      sync.Mutex
	metrics map[string]decomp.Metric              // by site, where they are held
	spectra map[string]map[string]decomp.Spectrum // by site and method, likewise

	folder *atomicfile.Folder // of the file
	file   *os.File           // where they are not, nil without any moments
	end    int64
	at     map[string]int64
}

// newStore makes a store, with a file where there are moments that are not held.
func newStore(algebra linalg.Backend, hold, moments bool, memory int64) (*store, error) {
	s := &store{algebra: algebra, hold: hold, space: newWorkspace(memory), metrics: map[string]decomp.Metric{}, spectra: map[string]map[string]decomp.Spectrum{}, at: map[string]int64{}}
	if hold || !moments {
		return s, nil
	}
	var err error
	if s.folder, err = atomicfile.MakeFolder("", "onnx-compress"); err == nil {
		s.file, err = os.Create(filepath.Join(s.folder.Path, "moments"))
	}
	if err != nil {
		s.folder.Remove()
		return nil, fmt.Errorf("a file for moments that do not fit into memory: %w", err)
	}
	return s, nil
}

// put keeps what a site is factored from: its metric, or the statistics that it is made of.
func (s *store) put(site string, metric decomp.Metric, from calib.Stats) error {
	if s.hold {
		s.metrics[site], s.spectra[site] = metric, map[string]decomp.Spectrum{}
		return nil
	}
	if s.file == nil {
		return nil
	}
	out := bufio.NewWriterSize(s.file, 1<<20)
	n, err := from.WriteTo(out)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.file.Name(), err)
	}
	s.at[site], s.end = s.end, s.end+n
	return nil
}

// get reads statistics back. Several goroutines may call it.
func (s *store) get(site string) (calib.Stats, error) {
	if s.file == nil {
		return calib.Stats{}, nil
	}
	from := s.at[site]
	stats, err := calib.ReadStats(bufio.NewReaderSize(io.NewSectionReader(s.file, from, s.end-from), 1<<20))
	if err != nil {
		return stats, fmt.Errorf("%s: %w", s.file.Name(), err)
	}
	return stats, nil
}

// close removes the file.
func (s *store) close() {
	if s.file != nil {
		_ = s.file.Close() // a temporary file, which nothing is lost with
		s.folder.Remove()
	}
}

// metric returns by what errors at a site are weighed.
func (s *store) metric(o *seen) (decomp.Metric, error) {
	if m, held := s.metrics[o.site.Name]; held {
		return m, nil
	}
	stats, err := s.get(o.site.Name)
	if err != nil {
		return decomp.Metric{}, err
	}
	metric, _ := centres(nil).metric(&o.site, stats)
	return metric, nil
}

// spectrum returns a site's factorization by a method: the one held, or a new one
// that is its equal. It is for one goroutine at a time.
func (s *store) spectrum(o *seen, m *decomp.Method) (decomp.Spectrum, error) {
	s.mu.Lock()
	held := s.spectra[o.site.Name][m.Name]
	s.mu.Unlock()
	if held != nil {
		return held, nil
	}
	kernel, metric, err := s.of(o)
	if err != nil {
		return nil, err
	}
	made, err := m.Factor(s.algebra, kernel, metric)
	if err == nil {
		s.keep(o, m, made)
	}
	return made, err
}

// of returns what a site is factored from.
func (s *store) of(o *seen) (decomp.Kernel, decomp.Metric, error) {
	kernel, err := o.site.Load()
	if err != nil {
		return kernel, decomp.Metric{}, err
	}
	metric, err := s.metric(o)
	return kernel, metric, err
}

// keep holds a factorization where all are held.
func (s *store) keep(o *seen, m *decomp.Method, made decomp.Spectrum) {
	if !s.hold || made == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spectra[o.site.Name][m.Name] = made
}

// floor returns what a method in closed form loses at a site.
func (s *store) floor(o *seen, m *decomp.Method) (decomp.Floor, error) {
	kernel, metric, err := s.of(o)
	if err != nil {
		return decomp.Floor{}, err
	}
	f, made, err := m.Floor(s.algebra, kernel, metric)
	if err == nil {
		s.keep(o, m, made)
	}
	return f, err
}

// chain returns the factors of an option, with the shift that keeps the mean of
// the site's output where the errors were measured about it.
func (s *store) chain(o *seen, c option) (decomp.Chain, error) {
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
// methods fit into half the memory limit. A factorization is counted as a copy of the
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
	return need <= float64(o.Memory)/2
}
