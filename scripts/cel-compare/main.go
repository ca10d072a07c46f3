// Answers expressions by cel-go, for ../cel-compare.ts. Reads the variables and the bags, a line of JSON, then an expression a line; writes an
// answer a line. The form of values is that of values.ts.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/ext"
)

type given struct {
	Variables map[string]string            `json:"variables"`
	Bags      []map[string]json.RawMessage `json:"bags"`
}

type question struct {
	Source string `json:"source"`
	Bag    int    `json:"bag"`
}

type answer struct {
	Refused string `json:"refused,omitempty"`
	Type    string `json:"type,omitempty"`
	Failed  string `json:"failed,omitempty"`
	Value   any    `json:"value,omitempty"`
}

func main() {
	in := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<20))
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	to := json.NewEncoder(out)
	to.SetEscapeHTML(false)
	var first given
	must(in.Decode(&first))
	options := []cel.EnvOption{
		cel.OptionalTypes(), cel.CrossTypeNumericComparisons(true), cel.DefaultUTCTimeZone(true), cel.EnableIdentifierEscapeSyntax(),
		ext.Strings(), ext.Math(), ext.Encoders(), ext.Bindings(), ext.TwoVarComprehensions(), ext.Network(),
	}
	for name, kind := range first.Variables {
		options = append(options, cel.Variable(name, typeOf(kind)))
	}
	env, err := cel.NewEnv(options...)
	must(err)
	bags := make([]map[string]any, len(first.Bags))
	for index, bag := range first.Bags {
		bags[index] = map[string]any{}
		for name, value := range bag {
			bags[index][name] = decode(value)
		}
	}
	for in.More() {
		var asked question
		must(in.Decode(&asked))
		must(to.Encode(answerOf(env, asked.Source, bags[asked.Bag])))
		must(out.Flush())
	}
}

func answerOf(env *cel.Env, source string, bag map[string]any) (result answer) {
	defer func() {
		if thrown := recover(); thrown != nil {
			result = answer{Type: "?", Failed: fmt.Sprintf("panic: %v", thrown)}
		}
	}()
	ast, issues := env.Compile(source)
	if issues.Err() != nil {
		return answer{Refused: issues.Err().Error()}
	}
	kind := ast.OutputType().String()
	program, err := env.Program(ast)
	if err != nil {
		return answer{Type: kind, Failed: "program: " + err.Error()}
	}
	value, _, err := program.Eval(bag)
	if err != nil {
		return answer{Type: kind, Failed: err.Error()}
	}
	return answer{Type: kind, Value: encode(value)}
}

func encode(value ref.Val) any {
	switch v := value.(type) {
	case types.Bool:
		return []any{"bool", bool(v)}
	case types.Int:
		return []any{"int", strconv.FormatInt(int64(v), 10)}
	case types.Uint:
		return []any{"uint", strconv.FormatUint(uint64(v), 10)}
	case types.Double:
		if math.IsNaN(float64(v)) {
			return []any{"double", "NaN"}
		}
		return []any{"double", fmt.Sprintf("%016x", math.Float64bits(float64(v)))}
	case types.String:
		if !utf8.ValidString(string(v)) {
			return []any{"string that is not UTF-8", fmt.Sprintf("%x", string(v))}
		}
		return []any{"string", string(v)}
	case types.Bytes:
		return []any{"bytes", base64.StdEncoding.EncodeToString(v)}
	case types.Null:
		return []any{"null"}
	case types.Timestamp:
		return []any{"timestamp", strconv.FormatInt(v.Unix(), 10), v.Nanosecond()}
	case types.Duration:
		return []any{"duration", strconv.FormatInt(int64(v.Duration), 10)}
	case *types.Type:
		return []any{"type", v.TypeName()}
	case *types.Optional:
		if !v.HasValue() {
			return []any{"optional"}
		}
		return []any{"optional", encode(v.GetValue())}
	case ext.IP:
		return []any{"ip", v.Addr.String()}
	case ext.CIDR:
		return []any{"cidr", v.Prefix.String()}
	case traits.Mapper:
		entries := []any{}
		for keys := v.Iterator(); keys.HasNext() == types.True; {
			key := keys.Next()
			entries = append(entries, []any{encode(key), encode(v.Get(key))})
		}
		return []any{"map", entries}
	case traits.Lister:
		items := []any{}
		for at := v.Iterator(); at.HasNext() == types.True; {
			items = append(items, encode(at.Next()))
		}
		return []any{"list", items}
	}
	return []any{"?", reflect.TypeOf(value).String()}
}

func decode(raw json.RawMessage) ref.Val {
	var parts []json.RawMessage
	must(json.Unmarshal(raw, &parts))
	switch kind := textOf(parts[0]); kind {
	case "bool":
		return types.Bool(string(parts[1]) == "true")
	case "int":
		value, err := strconv.ParseInt(textOf(parts[1]), 10, 64)
		must(err)
		return types.Int(value)
	case "uint":
		value, err := strconv.ParseUint(textOf(parts[1]), 10, 64)
		must(err)
		return types.Uint(value)
	case "double":
		if textOf(parts[1]) == "NaN" {
			return types.Double(math.NaN())
		}
		bits, err := strconv.ParseUint(textOf(parts[1]), 16, 64)
		must(err)
		return types.Double(math.Float64frombits(bits))
	case "string":
		return types.String(textOf(parts[1]))
	case "bytes":
		value, err := base64.StdEncoding.DecodeString(textOf(parts[1]))
		must(err)
		return types.Bytes(value)
	case "null":
		return types.NullValue
	case "timestamp":
		seconds, err := strconv.ParseInt(textOf(parts[1]), 10, 64)
		must(err)
		var nanos int64
		must(json.Unmarshal(parts[2], &nanos))
		return types.Timestamp{Time: time.Unix(seconds, nanos).UTC()}
	case "duration":
		nanos, err := strconv.ParseInt(textOf(parts[1]), 10, 64)
		must(err)
		return types.Duration{Duration: time.Duration(nanos)}
	case "ip":
		return ext.IP{Addr: netip.MustParseAddr(textOf(parts[1]))}
	case "cidr":
		return ext.CIDR{Prefix: netip.MustParsePrefix(textOf(parts[1]))}
	case "list":
		var items []json.RawMessage
		must(json.Unmarshal(parts[1], &items))
		values := make([]ref.Val, len(items))
		for index, item := range items {
			values[index] = decode(item)
		}
		return types.DefaultTypeAdapter.NativeToValue(values)
	case "map":
		var entries [][2]json.RawMessage
		must(json.Unmarshal(parts[1], &entries))
		values := map[ref.Val]ref.Val{}
		for _, entry := range entries {
			values[decode(entry[0])] = decode(entry[1])
		}
		return types.NewRefValMap(types.DefaultTypeAdapter, values)
	default:
		panic(kind)
	}
}

func typeOf(text string) *cel.Type {
	simple := map[string]*cel.Type{
		"bool": cel.BoolType, "int": cel.IntType, "uint": cel.UintType, "double": cel.DoubleType, "string": cel.StringType,
		"bytes": cel.BytesType, "timestamp": cel.TimestampType, "duration": cel.DurationType, "dyn": cel.DynType, "ip": ext.IPType,
		"cidr": ext.CIDRType,
	}
	if found := simple[text]; found != nil {
		return found
	}
	inner := text[strings.Index(text, "(")+1 : len(text)-1]
	if strings.HasPrefix(text, "list(") {
		return cel.ListType(typeOf(inner))
	}
	key, of, _ := strings.Cut(inner, ", ")
	return cel.MapType(typeOf(key), typeOf(of))
}

func textOf(raw json.RawMessage) string {
	var text string
	must(json.Unmarshal(raw, &text))
	return text
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
