package compress

import (
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/verify"
)

// ResultSchema names the shape of a Result as JSON. A field may be added under
// the same name; a change of meaning, or a removal, gets a new one.
const ResultSchema = "onnx-compress/result/1"

// Result is what one run did, and the evidence for it.
type Result struct {
	Schema      string            `json:"schema"`
	Input       File              `json:"input"`
	Output      File              `json:"output"`
	Environment EnvironmentResult `json:"environment"`
	// For is what the purpose of the model set, nil without one.
	For         *Profile     `json:"for,omitempty"`
	Targets     []Reached    `json:"targets"`
	Calibration *Calibration `json:"calibration"`
	Plan        PlanSummary  `json:"plan"`
	// Refit is null where the run made none.
	Refit *RefitSummary `json:"refit"`
	// Trials is null where the run had no goals.
	Trials  *Trials      `json:"trials"`
	Sites   []SiteResult `json:"sites"`
	Skipped []Skipped    `json:"skipped"`
	// Axes are those that were offered to be narrowed, and Whole the others with what is on none; absent where that was not asked for.
	Axes  []AxisResult `json:"axes,omitempty"`
	Whole []WholeAxis  `json:"whole,omitempty"`
	// Through is the model whose outputs judged this one; absent where it was judged by its own.
	Through *ThroughResult `json:"through,omitempty"`
	// Also are further models that got the same factors; absent without any.
	Also []AlsoResult `json:"also,omitempty"`
	// Merged are the nodes of neighbouring sites that became one.
	Merged []MergedNodes `json:"merged,omitempty"`
	// Tuning is null where the run made none.
	Tuning *Tuning `json:"tuning"`
	// Uncounted are nodes that multiply, but at an unknown size, so that no MACs
	// of theirs are in the counts.
	Uncounted []Skipped `json:"uncounted,omitempty"`
	// Verification is null when nothing was verified by execution;
	// Unverified then says why.
	Verification *verify.Report `json:"verification"`
	Unverified   string         `json:"unverified,omitempty"`
	// Unjudged says that no real data judged the model: it was verified on random inputs, which show that it runs.
	Unjudged string `json:"unjudged,omitempty"`
	// Frontier is what other budgets would have given. It is null in results of
	// versions that did not look.
	Frontier *Frontier `json:"frontier"`
	// Latency is null where the run was not asked to time the models and a brief look at it did not find the result slower beyond doubt.
	Latency *Latency `json:"latency"`
	// Int8 is how both models fare as int8, where the result is for that; Unquantized says why they were not quantized.
	Int8        *Int8  `json:"int8,omitempty"`
	Unquantized string `json:"unquantized,omitempty"`
	// Verdict sums the result up; null where no command did.
	Verdict *Verdict `json:"verdict"`
	// Command is the command line that asked for the run, in words that a shell takes, where a command did.
	Command string  `json:"command,omitempty"`
	Stages  []Stage `json:"stages"`
	Memory  Memory  `json:"memory"`
}

// File is a model on disk and what it costs.
type File struct {
	Path string `json:"path"`
	// Wanted is the path that was asked for, where another file is there that the run may not replace, so that the model is at Path, beside it;
	// else it is empty.
	Wanted string `json:"wanted,omitempty"`
	// Bytes counts the file and its external weights.
	Bytes int64 `json:"bytes"`
	// SHA256 is the digest of the model file itself, in hex.
	SHA256 string `json:"sha256"`
	// MACs of one inference at the model's own batch, at the first sample's where
	// samples are whole batches, else at batch 1; of the nodes whose shapes are known.
	MACs   int64 `json:"macs"`
	Params int64 `json:"params"`
}

// EnvironmentResult says which numerical libraries did the work.
type EnvironmentResult struct {
	// Runtime is ONNX Runtime's version, empty when none was found.
	Runtime     string `json:"runtime,omitempty"`
	RuntimePath string `json:"runtime_path,omitempty"`
	// Algebra names the linear algebra backend.
	Algebra string `json:"algebra"`
	Threads int    `json:"threads"`
	Seed    uint64 `json:"seed"`
}

// Reached is a target and what the written model needs of its resource.
type Reached struct {
	Target
	Limit    float64 `json:"limit"`
	Original int64   `json:"original"`
	Reached  int64   `json:"reached"`
}

// Calibration says what the second moments were summed over.
type Calibration struct {
	Source  string `json:"source"`
	Samples int    `json:"samples"`
	// Sweeps is how often the samples were run: once for each group of sites
	// whose moments take no more than twice the memory limit together, in a temporary file if need be.
	Sweeps int `json:"sweeps"`
	// Cached says that the moments were read from a file of an earlier run.
	Cached bool `json:"cached"`
	// Noisiest is the site with the most noise in what it reads (SiteResult.Noise), where that is too much, and Wanted about how
	// many samples would be enough for it; 0 where there are too few to tell.
	Noisiest string `json:"noisiest,omitempty"`
	Wanted   int    `json:"wanted,omitempty"`
	// DataFree is null where the result is calibrated: else the samples were too few, and the weights alone served better.
	DataFree *DataFree `json:"data_free,omitempty"`
}

// Measure says what a loss is.
type Measure string

const (
	// OutputChange is the expected squared change of the model's outputs, per
	// sample, to second order: T·tr(G ΔW A ΔWᵀ) summed over the sites.
	OutputChange Measure = "output-change"
	// EnergyShare is the error of a site's output as a share of its variance,
	// summed over the sites. Data-free, it is that of the weights.
	EnergyShare Measure = "energy-share"
)

// PlanSummary is the search's outcome. Loss is the sum of the sites' losses;
// Bound is the least that any plan under the same budgets could have, by
// Lagrangian duality; Gap is (Loss−Bound)/Loss.
type PlanSummary struct {
	Measure Measure `json:"measure"`
	// Given says that the plan came from outside; Bound and Gap are then 0.
	Given bool    `json:"given"`
	Loss  float64 `json:"loss"`
	Bound float64 `json:"bound"`
	Gap   float64 `json:"gap"`
	// BesideWidths says that Bound is the least of ranks beside the widths that were chosen: of other widths nothing is known.
	BesideWidths bool `json:"beside_widths,omitempty"`
	// Corrections are measurements by which losses were corrected before the final
	// choice, of those made together the largest prediction first. Absent where there were none.
	Corrections []Correction `json:"corrections,omitempty"`
}

// SiteResult is one site's fate. Method is "dense" where the site was offered
// to the search and left alone.
type SiteResult struct {
	Name      string      `json:"name"`
	Op        string      `json:"op"`
	Out       int         `json:"out"`
	In        int         `json:"in"`
	Window    []int       `json:"window,omitempty"`
	Groups    int         `json:"groups"`
	Method    string      `json:"method"`
	Rank      decomp.Rank `json:"rank,omitempty"`
	BreakEven int         `json:"break_even"`
	// Loss is the mean squared error of the site's output over its variance;
	// data-free, of its weight over the weight's squared norm.
	Loss float64 `json:"loss"`
	// Rounding is what writing the factors in the weight's own type adds to Loss, in
	// the same unit: only for the 16-bit types, absent for others, where it is less than
	// a part in 10¹² of the site's output.
	Rounding *float64 `json:"rounding,omitempty"`
	// OutputChange is the expected squared change of the model's outputs, per
	// sample, that this site alone makes, as corrected by measurements where there were
	// any; absent without sensitivities.
	OutputChange *float64 `json:"output_change,omitempty"`
	// Noise is how much of the covariance of what the site reads is noise of so many samples, as a share of its sum of squares:
	// about how many inputs vary apart over the number of independent columns that were seen. Absent without samples.
	Noise float64 `json:"noise,omitempty"`
	// Note says how the sensitivity was found where that was not by gradients, and where
	// rounding matters.
	Note string `json:"note,omitempty"`
	// Spectra has an entry per method that was on offer here: of the ranks that the search
	// looked at some that are worth their cost, and the one chosen.
	Spectra []SpectrumInspection `json:"spectra,omitempty"`
	// Refit is absent where the run made none.
	Refit        *Refit `json:"refit,omitempty"`
	MACsBefore   int64  `json:"macs_before"`
	MACsAfter    int64  `json:"macs_after"`
	ParamsBefore int64  `json:"params_before"`
	ParamsAfter  int64  `json:"params_after"`
}

// AxisResult is one axis's fate.
type AxisResult struct {
	Name  string `json:"name"`
	Units int    `json:"units"`
	// Kept are the units that stay, by their number, ascending: all where the axis was left alone.
	Kept []int `json:"kept"`
	// Heads is how many heads of attention the units are of, one channel of each. They were turned, all channels of a head among each
	// other, so that the first say the most of it: those that stay are directions of the original's channels. It is 0 for other axes.
	Heads int `json:"heads,omitempty"`
	// Producers and Readers are the sites that compute the units and that read them.
	Producers []string `json:"producers"`
	Readers   []string `json:"readers"`
	// Products are nodes that sum over the units of queries and keys, which no site reads then.
	Products []string `json:"products,omitempty"`
	// Loss is the mean squared error of what the readers, or of queries what the producer, compute, in the unit of the plan's loss, over how much that varies in the
	// same unit, and OutputChange as in SiteResult.
	Loss         float64  `json:"loss"`
	OutputChange *float64 `json:"output_change,omitempty"`
	// Note says why an axis was not on offer after all.
	Note string `json:"note,omitempty"`
}

// ReadBy names what the units go to: sites, or products.
func (x AxisResult) ReadBy() string { return strings.Join(slices.Concat(x.Readers, x.Products), ", ") }

// Skipped is a node that was never offered to the search.
type Skipped struct {
	Name   string `json:"name"`
	Op     string `json:"op"`
	Reason string `json:"reason"`
}

// Stage is one step of the run and its duration.
type Stage struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`

	peak int64 // of resident memory, in bytes, from the process's begin to the stage's end; 0 where it is not known
}

// Memory is what the process took, in bytes.
type Memory struct {
	// Limit is Options.Memory.
	Limit int64 `json:"limit"`
	// Peak is the most that was resident at once, maps of files included, and Stage the name of the stage in which that was. They are
	// 0 and empty where the system does not say.
	Peak  int64  `json:"peak"`
	Stage string `json:"stage,omitempty"`
}

// with is what the process took up to the end of further stages.
func (m Memory) with(stages []Stage) Memory {
	for _, s := range stages {
		if s.peak > m.Peak {
			m.Peak, m.Stage = s.peak, s.Name
		}
	}
	return m
}

// Dense is the Method of a site that the search left alone.
const Dense = "dense"
