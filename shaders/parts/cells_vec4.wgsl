// Four neighbouring elements for a thread: a load costs the same for one as for four. Its use: src/ops/gemm.rs.
alias Cells = vec4<f32>;
alias Bits = vec4<u32>;
alias Truths = vec4<bool>;
