/**
 * **In**: a message's schema. **Out**: the same schema without UTF-8 validation: a decoder reads U+FFFD for invalid bytes.
 * **Fails**: never.
 *
 * protobuf-es has no option for it, but honours the feature `utf8_validation` of a field's file, so the files are rebuilt without it.
 */
import {
  clone,
  create,
  createFileRegistry,
  type DescFile,
  type DescMessage,
  type FileRegistry,
} from '@bufbuild/protobuf';
import {
  FeatureSet_Utf8Validation,
  FeatureSetSchema,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  FileOptionsSchema,
} from '@bufbuild/protobuf/wkt';

const REGISTRIES = new Map<DescFile, FileRegistry>();

/** Built at the first use of a file, since nearly all messages are decoded without it. */
export function lenientSchema<D extends DescMessage>(schema: D): D {
  let registry = REGISTRIES.get(schema.file);
  if (registry === undefined) {
    registry = createFileRegistry(
      create(FileDescriptorSetSchema, {
        file: [...withDependencies(schema.file)].map(({ proto }) => unchecked(proto)),
      }),
    );
    REGISTRIES.set(schema.file, registry);
  }
  const found = registry.getMessage(schema.typeName);
  if (found === undefined) throw new Error(`${schema.typeName} is not in ${schema.file.name}`);
  return found as D;
}

/** Dependencies first, as a registry requires. */
function withDependencies(file: DescFile, seen = new Set<DescFile>()): Set<DescFile> {
  for (const dependency of file.dependencies) if (!seen.has(dependency)) withDependencies(dependency, seen);
  return seen.add(file);
}

function unchecked(proto: FileDescriptorProto): FileDescriptorProto {
  const file = clone(FileDescriptorProtoSchema, proto);
  file.options ??= create(FileOptionsSchema);
  file.options.features = create(FeatureSetSchema, { utf8Validation: FeatureSet_Utf8Validation.NONE });
  return file;
}
