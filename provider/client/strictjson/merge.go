package strictjson

// Merge applies patch to target (RFC 7396 §2).
func Merge(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	merged := map[string]any{}
	if object, ok := target.(map[string]any); ok {
		for name, value := range object {
			merged[name] = value
		}
	}
	for name, value := range changes {
		if value == nil {
			delete(merged, name)
			continue
		}
		merged[name] = Merge(merged[name], value)
	}
	return merged
}
