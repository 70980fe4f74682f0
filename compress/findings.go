package compress

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// findings are what was found at sites and axes, so that it need not be found again: noted by a part of a factoring, and read from the
// files of all parts by what chooses among it. They answer to the last bit what would be found anew; what they do not have is. The nil
// findings have nothing, and note nothing.
type findings struct {
	mu    sync.Mutex
	sites map[string]*finding
	axes  map[string]*axisFinding
	// keep is where factors lie while they are noted; nil where nothing is noted.
	keep  func([]float64) ([]float64, error)
	files []*offersFile // where factors are read from
}

// finding is what was found at a site. Whatever is a number is kept to the bit.
type finding struct {
	Site string
	// Unusable says why the weight cannot be factored.
	Unusable string `json:",omitempty"`
	// Energy is what losses are shares of.
	Energy exact
	// Closed are the methods in closed form.
	Closed []closedFinding `json:",omitempty"`
	// Refused are methods without factors at any rank, and why; Ranks what others lose, as their Spectrum says it.
	Refused map[string]string `json:",omitempty"`
	Ranks   []rankFinding     `json:",omitempty"`

	from   *offersFile    // where it was read
	kernel *decomp.Kernel // where nothing was found before
}

// closedFinding is what a method in closed form loses at every rank, or why it has no answer.
type closedFinding struct {
	Method  string
	Refused string        `json:",omitempty"`
	Losses  exacts        `json:",omitempty"`
	Bounds  exacts        `json:",omitempty"`
	Inputs  []bool        `json:",omitempty"`
	Factors []factorBlock `json:",omitempty"` // of each group, where they were kept

	kept []decomp.Components
}

// factorBlock is where a group's factors lie behind the findings: Ranks rows of K numbers, then as many of O.
type factorBlock struct {
	Offset int64 // from where the factors begin
	Ranks  int
	SHA256 string // of the bytes
}

// rankFinding is what a method loses at a rank, or why it has no answer there.
type rankFinding struct {
	Method    string
	Rank      decomp.Rank
	Loss      exact
	Numerical string `json:",omitempty"` // the numbers have no answer, for this reason
	Refused   bool   `json:",omitempty"` // the method finds no usable factors
}

// axisFinding is in which order units leave an axis, and what is lost by the number of those that stay, from 0 on.
type axisFinding struct {
	Axis   string
	Order  []int  `json:",omitempty"`
	Losses exacts `json:",omitempty"`
	Energy exact
	Note   string `json:",omitempty"`
}

// exact is a number as the 16 hexadecimal digits of its bits, which has all numbers, those that are not finite too.
type exact float64

// MarshalText writes the digits.
func (x exact) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%016x", math.Float64bits(float64(x))), nil
}

// UnmarshalText reads them.
func (x *exact) UnmarshalText(text []byte) error {
	bits, err := strconv.ParseUint(string(text), 16, 64)
	if err == nil && len(text) != 16 {
		err = fmt.Errorf("%q are not the 16 digits of a number", text)
	}
	*x = exact(math.Float64frombits(bits))
	return err
}

// exacts are numbers of 8 bytes, little-endian, in base64.
type exacts []float64

// MarshalText writes them.
func (x exacts) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, littleEndian(x)), nil
}

// UnmarshalText reads them.
func (x *exacts) UnmarshalText(text []byte) error {
	data, err := base64.StdEncoding.DecodeString(string(text))
	if err == nil && len(data)%8 != 0 {
		err = fmt.Errorf("%d bytes are no numbers of 8", len(data))
	}
	if err != nil {
		return err
	}
	*x = float64s(data)
	return nil
}

func littleEndian(list []float64) []byte {
	data := make([]byte, 0, 8*len(list))
	for _, v := range list {
		data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
	}
	return data
}

func float64s(data []byte) []float64 {
	out := make([]float64, len(data)/8)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
	}
	return out
}

// site is what was found at a site, nil for nothing.
func (f *findings) site(name string) *finding {
	if f == nil || f.keep != nil {
		return nil
	}
	return f.sites[name]
}

// axis is what was found at an axis, nil for nothing.
func (f *findings) axis(name string) *axisFinding {
	if f == nil || f.keep != nil {
		return nil
	}
	return f.axes[name]
}

// note has what is found at a site noted, where that is wanted.
func (f *findings) note(site string, add func(*finding) error) error {
	if f == nil || f.keep == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.sites[site]
	if at == nil {
		at = &finding{Site: site}
		f.sites[site] = at
	}
	return add(at)
}

// noteAxis has what an axis offers noted, where that is wanted. Heads that are turned are found again, by whoever narrows them.
func (f *findings) noteAxis(o *axisOffer) {
	if f == nil || f.keep == nil || o.turn != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.axes[o.axis.Name] = &axisFinding{Axis: o.axis.Name, Order: o.order, Losses: o.losses, Energy: exact(o.energy), Note: o.note}
}

// closed is what was found of a method in closed form, nil for nothing.
func (f *finding) closed(method string) *closedFinding {
	if f == nil {
		return nil
	}
	if i := slices.IndexFunc(f.Closed, func(c closedFinding) bool { return c.Method == method }); i >= 0 {
		return &f.Closed[i]
	}
	return nil
}

// floor is what was found, as the method gave it.
func (c *closedFinding) floor() (f decomp.Floor, refused error) {
	if c.Refused != "" {
		return f, &decomp.RefusedError{Method: c.Method, Reason: c.Refused}
	}
	return decomp.Floor{Losses: c.Losses, Bounds: c.Bounds, Inputs: c.Inputs}, nil
}

// rank is what was found of a rank, nil for nothing.
func (f *finding) rank(c *option) *rankFinding {
	if f == nil {
		return nil
	}
	if i := slices.IndexFunc(f.Ranks, func(r rankFinding) bool { return r.Method == c.method.Name && slices.Equal(r.Rank, c.rank) }); i >= 0 {
		return &f.Ranks[i]
	}
	return nil
}

// noteRank notes what is lost at a rank.
func (f *findings) noteRank(o *seen, c *option, loss float64, err error) error {
	return f.note(o.site.Name, func(at *finding) error {
		r := rankFinding{Method: c.method.Name, Rank: c.rank, Loss: exact(loss)}
		switch numerical := (*linalg.NumericalError)(nil); {
		case errors.As(err, &numerical):
			r.Numerical = err.Error()
		case errors.As(err, new(*decomp.RefusedError)):
			r.Refused = true
		case err != nil:
			return nil // which ends the work
		}
		at.Ranks = append(at.Ranks, r)
		return nil
	})
}

// noteRefused notes that a method has no factors at any rank.
func (f *findings) noteRefused(o *seen, m *decomp.Method, err error) error {
	return f.note(o.site.Name, func(at *finding) error {
		if at.Refused == nil {
			at.Refused = map[string]string{}
		}
		at.Refused[m.Name] = reason(m.Name, err)
		return nil
	})
}

// refused is why a method has no factors at any rank, nil where that is not known.
func (f *finding) refused(method string) error {
	if f == nil || f.Refused[method] == "" {
		return nil
	}
	return &decomp.RefusedError{Method: method, Reason: f.Refused[method]}
}

// reason is why a method has no factors at any rank, without its name.
func reason(method string, err error) string {
	return strings.TrimPrefix(err.Error(), "decomp: "+method+": ")
}

// noteFloor notes what a method in closed form loses, with its factors up to the last rank that saves something.
func (f *findings) noteFloor(o *seen, m *decomp.Method, floor decomp.Floor, made decomp.Spectrum, refused error) error {
	return f.note(o.site.Name, func(at *finding) error {
		c := closedFinding{Method: m.Name, Losses: floor.Losses, Bounds: floor.Bounds, Inputs: floor.Inputs}
		if refused != nil {
			c.Refused = reason(m.Name, refused)
		}
		if groups, ok := decomp.SVDComponents(made, o.lastSaving(m)); ok && refused == nil {
			for _, g := range groups {
				kept := decomp.Components{First: &linalg.Matrix{Rows: g.First.Rows, Cols: g.First.Cols}, Last: &linalg.Matrix{Rows: g.Last.Rows, Cols: g.Last.Cols}}
				var err error
				if kept.First.Data, err = f.keep(g.First.Data); err == nil {
					kept.Last.Data, err = f.keep(g.Last.Data)
				}
				if err != nil {
					return err
				}
				c.kept = append(c.kept, kept)
			}
		}
		at.Closed = append(at.Closed, c)
		return nil
	})
}

// lastSaving is the largest rank of a method of one number that saves multiply-adds or parameters, 0 for none.
func (s *seen) lastSaving(m *decomp.Method) int {
	whole := dense(&s.site)
	for r := s.site.Kernel.FullRank(); r > 0; r-- {
		chain := m.Factors(s.site.Kernel, decomp.Rank{r})
		if chain != nil && (s.site.MACs(chain) < whole.macs || s.site.NewParams(chain)+s.shiftParams() < whole.params) {
			return r
		}
	}
	return 0
}

// spectrum is a site's factorization by a method, read from where its factors lie; nil where none were kept.
func (f *findings) spectrum(o *seen, m *decomp.Method) (decomp.Spectrum, error) {
	at := f.site(o.site.Name)
	c := at.closed(m.Name)
	if c == nil || len(c.Factors) == 0 {
		return nil, nil
	}
	groups, err := at.from.factors(c, o.site.Kernel)
	if err == nil {
		var made decomp.Spectrum
		if made, err = decomp.SVDFromComponents(o.site.Kernel, c.Losses, groups); err == nil {
			return made, nil
		}
	}
	return nil, fmt.Errorf("%s: the factors of node %q: %w", at.from.path, o.site.Name, err)
}

// fits holds a finding against the site that it is of.
func (f *finding) fits(s *rewrite.Site) error {
	k := s.Kernel
	for _, c := range f.Closed {
		switch {
		case c.Refused != "":
		case len(c.Losses) < 2 || len(c.Bounds) != len(c.Losses) || len(c.Inputs) != len(k.Window):
			return fmt.Errorf("what %s loses at node %q is not of a %v kernel", c.Method, f.Site, k)
		case len(c.Factors) > 0 && (len(c.Factors) != k.Groups || len(c.Losses) != k.FullRank()+1):
			return fmt.Errorf("the factors by %s of node %q are not of a %v kernel", c.Method, f.Site, k)
		}
		for _, b := range c.Factors {
			if b.Ranks < 0 || b.Ranks > k.FullRank() || b.Offset < 0 || b.Offset%8 != 0 {
				return fmt.Errorf("the factors by %s of node %q are not of a %v kernel", c.Method, f.Site, k)
			}
		}
	}
	return nil
}

// fits holds a finding against the axis that it is of.
func (f *axisFinding) fits(axis *rewrite.Axis) error {
	if f.Order == nil {
		return nil
	}
	if sorted := slices.Sorted(slices.Values(f.Order)); !slices.Equal(sorted, inOrder(axis.Units)) || len(f.Losses) != axis.Units+1 {
		return fmt.Errorf("the order of the units of axis %q is not one of %d units", f.Axis, axis.Units)
	}
	return nil
}
