// ext_authz on grpc-go, for ../check.ts: decodes every request with generated code, reads the attributes of the three rules, and allows.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
)

type server struct {
	auth.UnimplementedAuthorizationServer
}

func (server) Check(_ context.Context, request *auth.CheckRequest) (*auth.CheckResponse, error) {
	http := request.GetAttributes().GetRequest().GetHttp()
	if http.GetMethod() == "TRACE" || strings.Contains(http.GetPath(), "..") || http.GetHost() == "old.example" {
		return &auth.CheckResponse{Status: &status.Status{Code: 7}}, nil
	}
	ok := &auth.OkHttpResponse{}
	if http.GetHeaders()["x-user"] != "" && http.GetScheme() == "https" {
		ok.Headers = []*core.HeaderValueOption{{Header: &core.HeaderValue{Key: "x-policy", Value: "three"}}}
	}
	return &auth.CheckResponse{Status: &status.Status{}, HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: ok}}, nil
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("gRPC 127.0.0.1:%d\n", listener.Addr().(*net.TCPAddr).Port)
	grpcServer := grpc.NewServer()
	auth.RegisterAuthorizationServer(grpcServer, server{})
	log.Fatal(grpcServer.Serve(listener))
}
