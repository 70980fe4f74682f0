package chart

import (
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
)

// wantedTicks is about how many ticks an axis has.
const wantedTicks = 5

// marker chooses the ticks of an axis.
func marker(log, percent bool) plot.Ticker {
	return plot.TickerFunc(func(low, high float64) []plot.Tick {
		if log {
			if ticks := logTicks(low, high, percent); len(ticks) > 1 {
				return ticks
			}
		}
		return linearTicks(low, high, percent)
	})
}

// linearTicks are the multiples of 1, 2 or 5 times a power of ten.
func linearTicks(low, high float64, percent bool) []plot.Tick {
	span := high - low
	if !(span > 0) {
		return nil
	}
	power := math.Pow(10, math.Floor(math.Log10(span/wantedTicks)))
	step := power
	for _, times := range []float64{1, 2, 5, 10} {
		if step = times * power; span/step <= wantedTicks+1 {
			break
		}
	}
	if low+step == low { // beyond what the numbers can tell apart
		return nil
	}
	var out []plot.Tick
	for n := math.Ceil(low/step - 1e-9); n*step <= high+1e-9*span; n++ {
		v := n * step
		out = append(out, plot.Tick{Value: min(max(v, low), high), Label: label(v, step, percent)})
	}
	return out
}

// logTicks are powers of ten, and where these are few, twice and five times them too.
func logTicks(low, high float64, percent bool) []plot.Tick {
	from, to := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	times, every := []float64{1}, 1.0
	switch decades := math.Log10(high / low); {
	case decades <= 2.5:
		times = []float64{1, 2, 5}
	case decades > 2*wantedTicks:
		every = math.Ceil(decades / wantedTicks)
	}
	var out []plot.Tick
	for e := from; e <= to; e += every {
		for _, t := range times {
			v := t * math.Pow(10, e)
			if v >= low*(1-1e-9) && v <= high*(1+1e-9) {
				out = append(out, plot.Tick{Value: min(max(v, low), high), Label: label(v, v, percent)})
			}
		}
	}
	return out
}

// label writes a number with the digits that a step needs: 0.25, 20 %, 3 M, 10⁻⁷.
func label(v, step float64, percent bool) string {
	unit := ""
	if percent {
		v, step, unit = 100*v, 100*step, " %"
	}
	if math.Abs(v) < step/2 {
		return "0" + unit
	}
	if percent && math.Abs(v) >= 0.001 {
		return fixed(v, step) + unit
	}
	size := math.Abs(v)
	switch {
	case size < 0.999e-3 || size > 1e13:
		return scientific(v, step) + unit
	case size >= 0.999e9:
		return fixed(v/1e9, step/1e9) + " G"
	case size >= 0.999e6:
		return fixed(v/1e6, step/1e6) + " M"
	case size >= 0.9999e4:
		return fixed(v/1e3, step/1e3) + " k"
	}
	return fixed(v, step)
}

// fixed writes v with the digits behind the point that step needs.
func fixed(v, step float64) string {
	digits := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	s := strconv.FormatFloat(v, 'f', min(digits, 12), 64)
	if strings.Contains(s, ".") {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return strings.Replace(s, "-", "−", 1)
}

// scientific writes v as a multiple of a power of ten.
func scientific(v, step float64) string {
	e := math.Floor(math.Log10(math.Abs(v)) + 1e-9)
	power := "10" + strings.Map(raised, strconv.Itoa(int(e)))
	m := v / math.Pow(10, e)
	if math.Abs(m-1) < 1e-9 {
		return power
	}
	return fixed(m, min(1, step/math.Pow(10, e))) + "·" + power
}

// raised is a digit or a minus above the line.
func raised(r rune) rune {
	if r == '-' {
		return '⁻'
	}
	return []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")[r-'0']
}
