// Reads cases (files and descriptors to look up), one line of JSON each, and prints what the reference reads and matches.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"

	pb_struct "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	gostats "github.com/lyft/gostats"
	logger "github.com/sirupsen/logrus"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/envoyproxy/ratelimit/src/config"
	"github.com/envoyproxy/ratelimit/src/limiter"
	"github.com/envoyproxy/ratelimit/src/settings"
	"github.com/envoyproxy/ratelimit/src/stats"
)

type ask struct {
	Domain  string
	Entries [][2]string
}

type question struct {
	Files []struct{ Name, Content string }
	Merge bool
	Asks  []ask
}

type limit struct {
	FullKey, Unit, Name, Key                string
	RequestsPerUnit                         uint32
	Unlimited, Shadow, Quota, Detailed      bool
	Replaces                                []string
	Metadata                                json.RawMessage
}

type answer struct {
	Error  string
	Dump   []string
	Limits []*limit
}

func answered(q question, manager stats.Manager) (out answer) {
	defer func() {
		if e := recover(); e != nil {
			out = answer{Error: fmt.Sprintf("%v", e)}
		}
	}()
	var files []config.RateLimitConfigToLoad
	for _, f := range q.Files {
		content, err := base64.StdEncoding.DecodeString(f.Content)
		if err != nil {
			panic(err)
		}
		files = append(files, config.RateLimitConfigToLoad{Name: f.Name, ConfigYaml: config.ConfigFileContentToYaml(f.Name, string(content))})
	}
	loaded := config.NewRateLimitConfigLoaderImpl().Load(files, manager, q.Merge)
	out.Dump = strings.Split(strings.TrimRight(loaded.Dump(), "\n"), "\n")
	sort.Strings(out.Dump)
	keys := limiter.NewCacheKeyGenerator("")
	for _, a := range q.Asks {
		descriptor := &pb_struct.RateLimitDescriptor{}
		for _, e := range a.Entries {
			descriptor.Entries = append(descriptor.Entries, &pb_struct.RateLimitDescriptor_Entry{Key: e[0], Value: e[1]})
		}
		found := loaded.GetLimit(context.Background(), a.Domain, descriptor)
		if found == nil {
			out.Limits = append(out.Limits, nil)
			continue
		}
		one := &limit{FullKey: found.FullKey, Unit: found.Limit.Unit.String(), Name: found.Name, RequestsPerUnit: found.Limit.RequestsPerUnit, Unlimited: found.Unlimited,
			Shadow: found.ShadowMode, Quota: found.QuotaMode, Detailed: found.DetailedMetric, Replaces: found.Replaces}
		if !found.Unlimited {
			one.Key = keys.GenerateCacheKey(a.Domain, descriptor, found, 0).Key
		}
		one.Metadata = json.RawMessage(metadataOf(found))
		out.Limits = append(out.Limits, one)
	}
	return out
}

func metadataOf(found *config.RateLimit) string {
	if found.Metadata == nil {
		return "null"
	}
	text, err := protojson.Marshal(found.Metadata)
	if err != nil {
		quoted, _ := json.Marshal(err.Error())
		return string(quoted)
	}
	return string(text)
}

func main() {
	logger.SetLevel(logger.PanicLevel)
	manager := stats.NewStatManager(gostats.NewStore(gostats.NewNullSink(), false), settings.NewSettings())
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			var q question
			if e := json.Unmarshal(line, &q); e != nil {
				panic(e)
			}
			text, e := json.Marshal(answered(q, manager))
			if e != nil {
				panic(e)
			}
			out.Write(append(text, '\n'))
			out.Flush()
		}
		if err != nil {
			return
		}
	}
}
