package compress

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
)

// sweeping calibrates groups of sites on a part of the samples, in their order: in one sweep as many as Analysis.sweeps say.
type sweeping struct {
	env  *Environment
	lib  *ort.Library
	a    *Analysis
	o    Options
	part calib.Part

	swept *calib.Swept // of the sweep at, nil before the first
	at    int
}

// group returns what has the sums of a group, and its sites' numbers there.
func (s *sweeping) group(ctx context.Context, g int, progress samples.Progress) (*calib.Swept, []int, error) {
	at := slices.IndexFunc(s.a.sweeps, func(groups []int) bool { return slices.Contains(groups, g) })
	var sites []rewrite.Site
	var numbers []int
	for _, k := range s.a.sweeps[at] {
		for _, site := range s.a.group(s.a.Groups[k]) {
			if k == g {
				numbers = append(numbers, len(sites))
			}
			sites = append(sites, site)
		}
	}
	if s.swept != nil && s.at == at {
		return s.swept, numbers, nil
	}
	s.close()
	how := s.env.calibOptions(s.a, s.o)
	how.Progress = progress
	swept, err := calib.Sweep(ctx, s.lib, s.a.judged(s.a.model), sites, s.o.Source, s.a.Calibrate, how, s.part)
	if err != nil {
		return nil, nil, fmt.Errorf("calibration on %s: %w", s.o.Source.Describe(), unrunnable(err))
	}
	s.swept, s.at = swept, at
	return swept, numbers, nil
}

func (s *sweeping) close() {
	if s.swept != nil {
		s.swept.Close()
	}
	s.swept = nil
}
