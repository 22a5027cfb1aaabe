// What the shaders of single values share: 64 threads a workgroup, one value a thread, workgroups in two dimensions because one
// holds no more than 65,535 of them.

fn element(group: vec3u, groups: vec3u, thread: u32) -> u32 {
    return (group.y * groups.x + group.x) * 64u + thread;
}
