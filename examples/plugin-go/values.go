package main

import v1 "example.com/sluice/plugin-go/gen/sluice/plugin/v1"

func pointer[T any](value T) *T { return &value }

func text(value string) *v1.Value { return &v1.Value{Kind: &v1.Value_StringValue{StringValue: value}} }
func whole(value int) *v1.Value   { return &v1.Value{Kind: &v1.Value_Int64Value{Int64Value: int64(value)}} }

func shape(fields ...*v1.Field) *v1.Shape { return &v1.Shape{Fields: fields} }
func inputShape(fields ...*v1.Field) *v1.Input {
	return &v1.Input{Kind: &v1.Input_Shape{Shape: shape(fields...)}}
}

// plain is what encoding/json takes.
func plain(value *v1.Value) any {
	switch kind := value.GetKind().(type) {
	case *v1.Value_StringValue:
		return kind.StringValue
	case *v1.Value_Int64Value:
		return kind.Int64Value
	case *v1.Value_DoubleValue:
		return kind.DoubleValue
	case *v1.Value_BoolValue:
		return kind.BoolValue
	case *v1.Value_BytesValue:
		return kind.BytesValue
	case *v1.Value_TimestampValue:
		return kind.TimestampValue.AsTime()
	case *v1.Value_DurationValue:
		return kind.DurationValue.AsDuration().String()
	case *v1.Value_IpValue:
		return kind.IpValue
	case *v1.Value_ListValue:
		items := make([]any, len(kind.ListValue.Values))
		for index, item := range kind.ListValue.Values {
			items[index] = plain(item)
		}
		return items
	case *v1.Value_MapValue:
		fields := make(map[string]any, len(kind.MapValue.Fields))
		for name, field := range kind.MapValue.Fields {
			fields[name] = plain(field)
		}
		return fields
	default:
		return nil
	}
}
