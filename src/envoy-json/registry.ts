/** The types of Envoy's resources. */
import { gunzipSync } from 'node:zlib';
import { create, createFileRegistry, type DescMessage, fromBinary, type Registry } from '@bufbuild/protobuf';
import {
  file_google_protobuf_any,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { ENVOY_TYPES } from './envoy-types.ts';

const GOOGLE = [
  file_google_protobuf_any,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
];

let registry: Registry | undefined;

/** Made when first asked for: it takes some 30 ms. */
export function envoyTypes(): Registry {
  if (registry !== undefined) return registry;
  const { file } = fromBinary(FileDescriptorSetSchema, gunzipSync(Buffer.from(ENVOY_TYPES, 'base64')));
  registry = createFileRegistry(
    create(FileDescriptorSetSchema, { file: [...GOOGLE.map(({ proto }) => proto), ...file] }),
  );
  return registry;
}

export const TYPE_URL_PREFIX = 'type.googleapis.com/';

/** `undefined`: not a type of Envoy's resources. */
export const envoyType = (typeUrl: string): DescMessage | undefined =>
  envoyTypes().getMessage(typeUrl.slice(typeUrl.lastIndexOf('/') + 1));
