// Code shared by the shaders of single values: 64 threads a workgroup, one value a thread. Workgroups lie in two dimensions, because one
// dimension holds at most 65,535 of them.

fn element(group: vec3u, groups: vec3u, thread: u32) -> u32 {
    return (group.y * groups.x + group.x) * 64u + thread;
}
