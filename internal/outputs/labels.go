package outputs

import (
	"fmt"
	"math"
)

// CheckLabels refuses labels that no class of an output has, from 0 to one less than their number; -1 is none.
func CheckLabels(labels []int, output string, classes int) error {
	least, most := math.MaxInt, -1
	for _, l := range labels {
		if l >= 0 {
			least, most = min(least, l), max(most, l)
		}
	}
	if most < classes {
		return nil
	}
	text := fmt.Sprintf("there is a label %d, but output %q has %d classes, from 0 to %d", most, output, classes, classes-1)
	if least == 1 && most == classes {
		return fmt.Errorf("%s; the labels go from 1 to %d, so they seem to count from 1: take 1 off each", text, most)
	}
	return fmt.Errorf("%s; are these the labels for this model, and is it this output that has the classes?", text)
}

// CheckNames refuses names of classes that are not as many as an output has: their places in sorted order are then not its classes. No
// names are none.
func CheckNames(names []string, output string, classes int) error {
	if len(names) == 0 || len(names) == classes {
		return nil
	}
	return fmt.Errorf("the labels name %d classes (%s, ...), and output %q has %d: names stand for their places in sorted order, which is right only where all classes are named; give numbers from 0", len(names), names[0], output, classes)
}

// NearChance tells whether a share of right answers among so many samples is about what guessing among the classes gives: at
// most two standard deviations above it, where samples are few a quarter of what guessing leaves.
func NearChance(accuracy float64, samples, classes int) bool {
	if classes < 2 {
		return false
	}
	p := 1 / float64(classes)
	deviation := math.Sqrt(p * (1 - p) / float64(max(samples, 1)))
	return accuracy <= p+min(2*deviation, (1-p)/4)
}
