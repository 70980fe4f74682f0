package compress

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/onnx-compress/onnx-compress/internal/calib"
)

// spill is a temporary file for the statistics of sites whose moments and
// factorizations together are more than the memory limit allows to keep. What is read
// is what was put, to the last bit. The nil spill holds nothing, and takes only
// statistics that are none.
type spill struct {
	file *os.File
	end  int64
	at   map[string]int64 // by the site's name
}

func newSpill() (*spill, error) {
	f, err := os.CreateTemp("", "onnx-compress-*.stats")
	if err != nil {
		return nil, fmt.Errorf("a file for moments that do not fit into memory: %w", err)
	}
	return &spill{file: f, at: map[string]int64{}}, nil
}

// put keeps the statistics of a site.
func (s *spill) put(o *offer, seen calib.Stats) error {
	if s == nil {
		return nil
	}
	out := bufio.NewWriterSize(s.file, 1<<20)
	n, err := seen.WriteTo(out)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.file.Name(), err)
	}
	s.at[o.site.Name], s.end = s.end, s.end+n
	return nil
}

// get reads them back. Several goroutines may call it.
func (s *spill) get(o *offer) (calib.Stats, error) {
	if s == nil {
		return calib.Stats{}, nil
	}
	from := s.at[o.site.Name]
	seen, err := calib.ReadStats(bufio.NewReaderSize(io.NewSectionReader(s.file, from, s.end-from), 1<<20))
	if err != nil {
		return seen, fmt.Errorf("%s: %w", s.file.Name(), err)
	}
	return seen, nil
}

// close removes the file.
func (s *spill) close() error {
	if s == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

// holdable tells whether the moments of all sites and their factorizations by all
// methods fit into half the memory limit. A factorization is counted as a copy of the
// moment and two of the weight.
func (j *job) holdable() bool {
	var need float64
	for i := range j.analysis.Sites {
		site := &j.analysis.Sites[i]
		k, moment := site.Kernel, 0.0
		if j.opts.Source != nil {
			moment = float64(calib.InputBytes(site, len(j.calibrate))) + 8*float64(k.Out)*float64(k.Rows())
		}
		for _, m := range j.methods {
			if m.Accepts(k) == nil {
				need += moment + 16*float64(k.Params())
			}
		}
		need += moment
	}
	return need <= float64(j.opts.Memory)/2
}
