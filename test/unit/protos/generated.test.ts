import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Health, HealthCheckResponse_ServingStatus } from '../../../gen/grpc/health/v1/health_pb.ts';
import * as v1 from '../../../gen/grpc/reflection/v1/reflection_pb.ts';
import * as v1alpha from '../../../gen/grpc/reflection/v1alpha/reflection_pb.ts';

const ROOT = resolve(import.meta.dirname, '../../..');

test('the generated code is up to date with protos/', () => {
  execFileSync(process.execPath, ['scripts/generate-protos.ts', '--check'], { cwd: ROOT, stdio: 'pipe' });
});

test('protos/ import no annotations', () => {
  const files = readdirSync(join(ROOT, 'protos'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.proto'),
  );
  expect(files.length).toBeGreaterThan(15);
  for (const file of files)
    expect(readFileSync(join(ROOT, 'protos', file), 'utf8')).not.toMatch(
      /import "(validate|udpa|xds\/annotations|envoy\/annotations)/,
    );
});

describe("gRPC's own protos", () => {
  const numbers = (message: {
    readonly fields: readonly { readonly name: string; readonly number: number }[];
  }): Record<string, number> => Object.fromEntries(message.fields.map(({ name, number }) => [name, number]));

  test('health has the numbers of grpc/grpc-proto', () => {
    expect(HealthCheckResponse_ServingStatus).toMatchObject({
      UNKNOWN: 0,
      SERVING: 1,
      NOT_SERVING: 2,
      SERVICE_UNKNOWN: 3,
    });
    expect(Health.methods.map(({ name, methodKind }) => `${name} ${methodKind}`)).toEqual([
      'Check unary',
      'Watch server_streaming',
    ]);
    expect(numbers(Health.method.check.input)).toEqual({ service: 1 });
    expect(numbers(Health.method.check.output)).toEqual({ status: 1 });
  });

  test('reflection has the numbers of grpc/grpc-proto, in both versions', () => {
    for (const version of [v1, v1alpha]) {
      expect(numbers(version.ServerReflectionRequestSchema)).toEqual({
        host: 1,
        file_by_filename: 3,
        file_containing_symbol: 4,
        file_containing_extension: 5,
        all_extension_numbers_of_type: 6,
        list_services: 7,
      });
      expect(numbers(version.ServerReflectionResponseSchema)).toEqual({
        valid_host: 1,
        original_request: 2,
        file_descriptor_response: 4,
        all_extension_numbers_response: 5,
        list_services_response: 6,
        error_response: 7,
      });
      expect(numbers(version.ExtensionRequestSchema)).toEqual({ containing_type: 1, extension_number: 2 });
      expect(numbers(version.ExtensionNumberResponseSchema)).toEqual({ base_type_name: 1, extension_number: 2 });
      expect(numbers(version.FileDescriptorResponseSchema)).toEqual({ file_descriptor_proto: 1 });
      expect(numbers(version.ListServiceResponseSchema)).toEqual({ service: 1 });
      expect(numbers(version.ServiceResponseSchema)).toEqual({ name: 1 });
      expect(numbers(version.ErrorResponseSchema)).toEqual({ error_code: 1, error_message: 2 });
    }
  });
});
