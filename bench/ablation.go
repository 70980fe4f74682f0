//go:build unix

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/onnx-compress/onnx-compress/compress"
)

// part is a choice of the parts of the method.
type part struct {
	title   string
	flags   []string
	uniform bool // one ratio for all sites in place of the search
}

// parts are what the ablations compare, the whole method last.
func parts() []part {
	return []part{
		{"one ratio", []string{"--probes", "0", "--no-refit"}, true},
		{"one ratio, G", []string{"--no-refit"}, true},
		{"search", []string{"--probes", "0", "--no-refit"}, false},
		{"search, refit", []string{"--probes", "0"}, false},
		{"search, G", []string{"--no-refit"}, false},
		{"one ratio, G, refit", nil, true},
		{"search, G, refit", nil, false},
	}
}

// sensitive says whether a part uses G, so that its statistics are not those of the others.
func (p part) sensitive() bool { return len(p.flags) == 0 || p.flags[0] != "--probes" }

// ablation runs the parts named, or all, at every target. common are the arguments without a target; target
// turns a fraction into one; limit says what all sites together may need at that fraction, in
// terms of cost; show prints a cell.
type ablation struct {
	name    string // of statistics and plans in the scratch folder
	parts   []string
	common  []string
	targets []string
	target  func(fraction float64) string
	cost    func(*compress.SiteResult) int64
	limit   func(r *compress.Result, fraction float64) float64
	show    func(r *compress.Result) string
	check   func(p part, fraction string, r *compress.Result) // is shown every result
}

func (b *bench) ablate(a ablation) error {
	b.printf("| |")
	for _, t := range a.targets {
		b.printf(" %s |", t)
	}
	b.printf("\n|---|")
	for range a.targets {
		b.printf("---|")
	}
	b.printf("\n")
	for _, p := range parts() {
		if a.parts != nil && !slices.Contains(a.parts, p.title) {
			continue
		}
		b.printf("| %s |", p.title)
		for _, t := range a.targets {
			r, err := b.ablated(a, p, t)
			if err != nil {
				return err
			}
			cell := a.show(r)
			b.note("%s, %s at %s: %s", a.name, p.title, t, cell)
			b.printf(" %s |", cell)
			if a.check != nil {
				a.check(p, t, r)
			}
		}
		b.printf("\n")
	}
	return nil
}

// ablated runs one part at one target.
func (b *bench) ablated(a ablation, p part, text string) (*compress.Result, error) {
	fraction, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, err
	}
	kind := "A"
	if p.sensitive() {
		kind = "AG"
	}
	args := append(append([]string{}, a.common...), p.flags...)
	args = append(args, "--stats", b.file(a.name+kind+".stats"))
	if !p.uniform {
		_, r, err := b.compress(append(args, "--methods", "svd", "--rank-multiple", "1", "--target", a.target(fraction))...)
		return r, err
	}
	// Any run lists the sites; the plan is made of what they need.
	_, listed, err := b.compress(append(args, "--methods", "svd", "--rank-multiple", "1", "--no-refit", "--target", a.target(0.95))...)
	if err != nil {
		return nil, err
	}
	path, err := b.savePlan(a.name+".json", uniform(listed, a.cost, a.limit(listed, fraction)))
	if err != nil {
		return nil, err
	}
	_, r, err := b.compress(append(planless(args), "--from-plan", path)...)
	return r, err
}

// planless leaves out what a given plan has decided.
func planless(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--keep" {
			i++
			continue
		}
		out = append(out, args[i])
	}
	return out
}

// squeezenet shows what each part is worth on a network of 1,000 classes.
func (b *bench) squeezenet() error {
	b.printf("SqueezeNet 1.1, svd only, at fractions of its MACs: 512 images to calibrate on, the other 488 to judge. Cells: same top-1 class as the original / top-1 accuracy (the original: 60.45 %%).\n\n```\n%s\n```\n\n", b.command(b.squeezed("TARGET")...))
	return b.ablate(ablation{
		name: "squeezenet", common: b.squeezeData(), targets: []string{"0.8", "0.7", "0.6"},
		target: func(f float64) string { return fmt.Sprintf("macs=%g", f) },
		cost:   macsOf,
		limit: func(r *compress.Result, f float64) float64 {
			rest := r.Input.MACs
			for _, s := range r.Sites {
				rest -= s.MACsBefore
			}
			return f*float64(r.Input.MACs) - float64(rest)
		},
		show: func(r *compress.Result) string {
			c := r.Verification.Classes
			return fmt.Sprintf("%.2f %% / %.2f %%", 100*c.Agreement, 100*c.Accuracy.After)
		},
	})
}

// minilmFloors are the cosines that the whole metric reaches at least, without a refit, by the
// number of calibration sentences and the fraction of the linear layers' parameters.
func minilmFloors() map[string]map[string]float64 {
	return map[string]map[string]float64{
		"256":  {"0.8": 0.94, "0.7": 0.91, "0.6": 0.88, "0.5": 0.76},
		"1024": {"0.8": 0.966, "0.6": 0.908, "0.5": 0.870},
	}
}

// minilm shows the same for a sentence encoder.
func (b *bench) minilm() error {
	model, sentences := filepath.Join(b.data, "minilm", "model.onnx"), filepath.Join(b.data, "minilm", "sentences.npz")
	if err := need("bench/minilm.sh", model, sentences); err != nil {
		return err
	}
	b.printf("The sentence encoder all-MiniLM-L6-v2 (`bench/minilm.sh DIR/minilm` writes it and tokenizes sentences of 30 to 220 characters from Debian's `fortunes`), svd only, at fractions of the parameters of its 36 linear layers. Cells: mean cosine between the original's and the compressed model's embeddings of 256 other sentences.\n")
	var short error
	for _, n := range []string{"256", "1024"} {
		parts := []string{"search, G", "search, G, refit"}
		common := []string{model, "-o", b.file("small.onnx"), "--calib", sentences, "--calib-samples", n, "--verify-samples", "256", "--keep", "Gather_*"}
		b.printf("\n%s sentences to calibrate on\n\n```\n%s\n```\n\n", n, b.command(append(common, "--methods", "svd", "--rank-multiple", "1", "--target", "params=TARGET")...))
		targets := []string{"0.8", "0.7", "0.6", "0.5"}
		if n == "1024" {
			targets = []string{"0.8", "0.6", "0.5"}
		}
		plain := map[string]float64{}
		a := ablation{
			name: "minilm" + n, parts: parts, common: common, targets: targets, cost: paramsOf,
			target: func(f float64) string { return fmt.Sprintf("params=%d", int64(minilmParams-(1-f)*minilmLinear)) },
			limit:  func(_ *compress.Result, f float64) float64 { return f * minilmLinear },
			show:   func(r *compress.Result) string { return fmt.Sprintf("%.4f", r.Verification.Outputs[0].Cosine) },
		}
		a.check = func(p part, at string, r *compress.Result) {
			cosine := r.Verification.Outputs[0].Cosine
			switch p.title {
			case "search, G":
				plain[at] = cosine
				if floor := minilmFloors()[n][at]; cosine < floor {
					short = unmet("%s sentences at %s: cosine %.4f, want at least %g", n, at, cosine, floor)
				}
			case "search, G, refit":
				if cosine < plain[at]-1e-4 {
					short = unmet("%s sentences at %s: the refit takes the cosine from %.4f to %.4f", n, at, plain[at], cosine)
				}
			}
		}
		if err := b.ablate(a); err != nil {
			return err
		}
	}
	return short
}

// The encoder's parameters, and those of its six layers' matrices: four of 384×384 and two of
// 384×1536 in each.
const (
	minilmParams = 22565012
	minilmLinear = 6 * (4*384*384 + 2*384*1536)
)
