package decomp

// answers are what a group has said of its ranks: the loss of each that was asked for, and the factors of the last one.
// Those of all would take many times the room of the kernel; a chain is made of few, and anew where it is not of the
// last.
type answers[K comparable, F interface{ lost() float64 }] struct {
	losses map[K]float64
	latest K
	kept   F
	any    bool
}

// loss returns what the factors of a rank lose, and finds them first where the rank is new.
func (a *answers[K, F]) loss(rank K, find func(K) (F, error)) (float64, error) {
	if loss, ok := a.losses[rank]; ok {
		return loss, nil
	}
	f, err := a.factors(rank, find)
	if err != nil {
		return 0, err
	}
	return f.lost(), nil
}

// forget lets go of the last factors.
func (a *answers[K, F]) forget() {
	var none F
	a.kept, a.any = none, false
}

// factors returns the factors of a rank, and finds them where it is not that of the last ones.
func (a *answers[K, F]) factors(rank K, find func(K) (F, error)) (F, error) {
	if a.any && a.latest == rank {
		return a.kept, nil
	}
	f, err := find(rank)
	if err != nil {
		return f, err
	}
	if a.losses == nil {
		a.losses = map[K]float64{}
	}
	a.losses[rank] = f.lost()
	a.latest, a.kept, a.any = rank, f, true
	return f, nil
}
