package appc_test

import (
	"encoding/json"
	"testing"

	"rkt/internal/appc"
)

func TestLastWeightWins(t *testing.T) {
	t.Parallel()
	isolator := func(name appc.ACIdentifier, value string) appc.Isolator {
		return appc.Isolator{Name: name, Value: json.RawMessage(value)}
	}
	is := appc.Isolators{
		isolator(appc.IsolatorCPUShares, "512"),
		isolator(appc.IsolatorOOMScoreAdj, "-7"),
		isolator(appc.IsolatorCPUShares, "1024"),
	}
	if shares, ok := is.CPUShares(); shares != 1024 || !ok {
		t.Errorf("CPUShares = %d, %v", shares, ok)
	}
	if adjust, ok := is.OOMScoreAdj(); adjust != -7 || !ok {
		t.Errorf("OOMScoreAdj = %d, %v", adjust, ok)
	}
	if _, ok := (appc.Isolators{}).CPUShares(); ok {
		t.Error("shares from nowhere")
	}
}
