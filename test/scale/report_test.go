package main

import "testing"

// What the host took away says nothing about the server; but something has to be left to say anything about it.
func TestRoundsOfAnotherMachineAreLeftOut(t *testing.T) {
	for _, c := range []struct {
		stolen []float64
		left   int
	}{
		{[]float64{0, 0.01, 0.06}, 3},
		{[]float64{0.4, 0.01, 0.02, 0.3}, 2},
		{[]float64{0.4, 0.01, 0.2}, 2},
		{[]float64{0.4, 0.3, 0.2}, 2},
		{[]float64{0.4}, 1},
	} {
		var samples []sample
		for _, share := range c.stolen {
			samples = append(samples, sample{Stolen: share})
		}
		left := undisturbed(samples)
		if len(left) != c.left || left[0].Stolen > left[len(left)-1].Stolen {
			t.Errorf("of %v there is left %v; want the best %d", c.stolen, left, c.left)
		}
	}
}
