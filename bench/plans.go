//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/decomp"
)

// note tells a person who waits what is being done.
func (b *bench) note(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench:   "+format+"\n", args...)
}

// file names a file of the scratch folder.
func (b *bench) file(name string) string { return filepath.Join(b.work, name) }

// savePlan writes a plan for --from-plan.
func (b *bench) savePlan(name string, p compress.Plan) (string, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	return b.file(name), os.WriteFile(b.file(name), data, 0o644)
}

// svdRank is the rank at which two factors cost the given share of the dense kernel, at least 1;
// 0 where that saves nothing.
func svdRank(s *compress.SiteResult, ratio float64) int {
	k := s.In / s.Groups
	for _, w := range s.Window {
		k *= w
	}
	o := s.Out / s.Groups
	even := float64(k*o) / float64(k+o) // the rank at which nothing is saved
	if r := max(1, int(math.Floor(ratio*even))); float64(r) < even {
		return r
	}
	return 0
}

// svdCost is what rank r leaves of a cost of the dense kernel.
func svdCost(s *compress.SiteResult, r int, whole int64) float64 {
	if r == 0 {
		return float64(whole)
	}
	k := s.In / s.Groups
	for _, w := range s.Window {
		k *= w
	}
	o := s.Out / s.Groups
	return float64(whole) * float64(r*(k+o)) / float64(k*o)
}

// uniform gives every site that a run had on offer the same ratio by svd: the largest at which
// they need together at most limit of what cost tells of a site.
func uniform(r *compress.Result, cost func(*compress.SiteResult) int64, limit float64) compress.Plan {
	need := func(ratio float64) float64 {
		sum := 0.
		for i := range r.Sites {
			s := &r.Sites[i]
			sum += svdCost(s, svdRank(s, ratio), cost(s))
		}
		return sum
	}
	low, high := 0., 1.
	for range 60 {
		if mid := (low + high) / 2; need(mid) <= limit {
			low = mid
		} else {
			high = mid
		}
	}
	p := compress.PlanOf(r)
	for i := range p.Sites {
		p.Sites[i].Method, p.Sites[i].Rank = compress.Dense, nil
		if rank := svdRank(&r.Sites[i], low); rank > 0 {
			p.Sites[i].Method, p.Sites[i].Rank = "svd", decomp.Rank{rank}
		}
	}
	return p
}

// macsOf and paramsOf are costs for uniform.
func macsOf(s *compress.SiteResult) int64   { return s.MACsBefore }
func paramsOf(s *compress.SiteResult) int64 { return s.ParamsBefore }

// stage returns how long the stages of that name took.
func stage(r *compress.Result, name string) float64 {
	sum := 0.
	for _, s := range r.Stages {
		if s.Name == name {
			sum += s.Seconds
		}
	}
	return sum
}
