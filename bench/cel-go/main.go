// The expressions of ../expressions.ts in cel-go. Prints one line of JSON: nanoseconds by expression. expressions.ts runs it if Go is installed.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/google/cel-go/cel"
)

type request struct {
	Method    string  `json:"method"`
	Path      string  `json:"path"`
	User      *string `json:"user"`
	Principal *string `json:"principal"`
	Size      int64   `json:"size"`
}

type input struct {
	Expressions map[string]string `json:"expressions"`
	Requests    []request         `json:"requests"`
}

func main() {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		fail(err)
	}
	env, err := cel.NewEnv(cel.OptionalTypes(),
		cel.Variable("request", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("source", cel.MapType(cel.StringType, cel.DynType)))
	if err != nil {
		fail(err)
	}
	activations := make([]cel.Activation, 0, len(in.Requests))
	for _, r := range in.Requests {
		headers := map[string]string{}
		if r.User != nil {
			headers["x-user"] = *r.User
		}
		source := map[string]any{}
		if r.Principal != nil {
			source["principal"] = *r.Principal
		}
		activation, err := cel.NewActivation(map[string]any{
			"request": map[string]any{"method": r.Method, "url_path": r.Path, "headers": headers, "size": r.Size},
			"source":  source,
		})
		if err != nil {
			fail(err)
		}
		activations = append(activations, activation)
	}
	out := map[string]float64{}
	for name, source := range in.Expressions {
		ast, issues := env.Compile(source)
		if issues.Err() != nil {
			fail(issues.Err())
		}
		program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize))
		if err != nil {
			fail(err)
		}
		once := func(least time.Duration) float64 {
			began, count := time.Now(), 0
			for time.Since(began) < least {
				for _, activation := range activations {
					_, _, _ = program.Eval(activation)
				}
				count += len(activations)
			}
			return float64(time.Since(began).Nanoseconds()) / float64(count)
		}
		once(200 * time.Millisecond)
		taken := make([]float64, 7)
		for round := range taken {
			taken[round] = once(60 * time.Millisecond)
		}
		sort.Float64s(taken)
		out[name] = taken[3]
	}
	_ = json.NewEncoder(os.Stdout).Encode(out)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
