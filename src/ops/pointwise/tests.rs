use super::*;
use crate::device::Device;
use crate::testing::{check, float, floats, index, values};

type Method = fn(&Tensor) -> Result<Tensor>;
type Method2 = fn(&Tensor, &Tensor) -> Result<Tensor>;

/// The complementary way: erf by integrating its definition with Simpson's rule.
fn erf(x: f64) -> f64 {
    let (n, f) = (2000, |t: f64| (-t * t).exp());
    let h = x / f64::from(n);
    let inner: f64 = (1..n).map(|i| f(h * f64::from(i)) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
    (f(0.0) + inner + f(x)) * h / 3.0 * 2.0 / std::f64::consts::PI.sqrt()
}

#[test]
fn functions_of_one() {
    let cases: [(&str, Method, fn(f64) -> f64, [f64; 2]); 18] = [
        ("neg", |x| x.neg(), |x| -x, [-2.0, 2.0]),
        ("abs", |x| x.abs(), f64::abs, [0.1, 2.0]),
        ("sign", |x| x.sign(), f64::signum, [-2.0, -0.1]),
        ("exp", |x| x.exp(), f64::exp, [-5.0, 5.0]),
        ("log", |x| x.log(), f64::ln, [0.1, 9.0]),
        ("sqrt", |x| x.sqrt(), f64::sqrt, [0.1, 9.0]),
        ("rsqrt", |x| x.rsqrt(), |x| x.powf(-0.5), [0.1, 9.0]),
        ("recip", |x| x.recip(), |x| x.powi(-1), [0.2, 3.0]),
        ("square", |x| x.square(), |x| x.powi(2), [-2.0, 2.0]),
        ("sin", |x| x.sin(), f64::sin, [-3.0, 3.0]),
        ("cos", |x| x.cos(), f64::cos, [-3.0, 3.0]),
        ("tanh", |x| x.tanh(), |x| 1.0 - 2.0 / ((2.0 * x).exp() + 1.0), [-3.0, 3.0]),
        ("sigmoid", |x| x.sigmoid(), |x| x.exp() / (1.0 + x.exp()), [-5.0, 5.0]),
        ("softplus", |x| x.softplus(), |x| (1.0 + x.exp()).ln(), [-5.0, 5.0]),
        ("relu", |x| x.relu(), |x| x.max(0.0), [0.01, 2.0]),
        ("erf", |x| x.erf(), erf, [-3.0, 3.0]),
        ("floor", |x| x.floor(), f64::floor, [0.1, 0.9]),
        ("ceil", |x| x.ceil(), f64::ceil, [0.1, 0.9]),
    ];
    for (name, method, truth, [low, high]) in cases {
        let flat = matches!(name, "sign" | "floor" | "ceil");
        let run = check(name, &[floats([3, 7], low, high)], |x| method(&x[0])).reference(|x| x[0].iter().map(|v| truth(*v)).collect());
        if flat { run.not_differentiable().run() } else { run.run() }
    }
}

#[test]
fn functions_of_two_broadcast() {
    let cases: [(&str, Method2, fn(f64, f64) -> f64); 7] = [
        ("add", Tensor::add, |a, b| a + b),
        ("sub", Tensor::sub, |a, b| a - b),
        ("mul", Tensor::mul, |a, b| a * b),
        ("div", Tensor::div, |a, b| a / b),
        ("pow", Tensor::pow, |a, b| (b * a.ln()).exp()),
        ("maximum", Tensor::maximum, |a, b| if a > b { a } else { b }),
        ("minimum", Tensor::minimum, |a, b| if a < b { a } else { b }),
    ];
    for (name, method, truth) in cases {
        // Shapes as [a, b, how b's index follows from the output's]: same, scalar, last axis, middle axis, column, both stretch.
        let same: fn(usize) -> [usize; 2] = |i| [i, i];
        let shapes: [(&[usize], &[usize], fn(usize) -> [usize; 2], usize); 6] = [
            (&[4, 5], &[4, 5], same, 20),
            (&[4, 5], &[], |i| [i, 0], 20),
            (&[2, 3, 4], &[4], |i| [i, i % 4], 24),
            (&[2, 3, 4], &[3, 1], |i| [i, i / 4 % 3], 24),
            (&[3, 1], &[3, 5], |i| [i / 5, i], 15),
            (&[2, 1, 3], &[4, 1], |i| [i / 12 * 3 + i % 3, i / 3 % 4], 24),
        ];
        for (a, b, at, n) in shapes {
            check(&format!("{name} {a:?} {b:?}"), &[floats(a, 0.5, 2.0), floats(b, 0.6, 2.1)], |x| method(&x[0], &x[1]))
                .terms(n)
                .reference(|x| (0..n).map(at).map(|[i, j]| truth(x[0][i], x[1][j])).collect())
                .run();
        }
    }
}

#[test]
fn comparisons_selection_casts() {
    let a = values([5], vec![1.0, 2.0, 3.0, -1.0, 0.0]);
    let b = values([5], vec![2.0, 2.0, 1.0, -1.5, 0.0]);
    let cases: [(&str, Method2, [f64; 5]); 6] = [
        ("eq", Tensor::eq, [0.0, 1.0, 0.0, 0.0, 1.0]),
        ("ne", Tensor::ne, [1.0, 0.0, 1.0, 1.0, 0.0]),
        ("lt", Tensor::lt, [1.0, 0.0, 0.0, 0.0, 0.0]),
        ("le", Tensor::le, [1.0, 1.0, 0.0, 0.0, 1.0]),
        ("gt", Tensor::gt, [0.0, 0.0, 1.0, 1.0, 0.0]),
        ("ge", Tensor::ge, [0.0, 1.0, 1.0, 1.0, 1.0]),
    ];
    for (name, method, want) in cases {
        check(name, &[a.clone(), b.clone()], |x| method(&x[0], &x[1])).not_differentiable().reference(move |_| want.to_vec()).run();
    }
    check("select", &[index([6], 2), float([6]), float([])], |x| x[0].select(&x[1], &x[2]))
        .reference(|x| (0..6).map(|i| if x[0][i] == 1.0 { x[1][i] } else { x[2][0] }).collect())
        .run();
    check("u32 arithmetic", &[index([9], 50), index([9], 7)], |x| x[0].mul(&x[1])?.add(&x[0])?.maximum(&x[1]))
        .not_differentiable()
        .reference(|x| (0..9).map(|i| (x[0][i] * x[1][i] + x[0][i]).max(x[1][i])).collect())
        .run();
    check("float to i32", &[values([4], vec![1.9, -1.9, 0.2, -3.0])], |x| x[0].cast(DType::I32))
        .not_differentiable()
        .reference(|_| vec![1.0, -1.0, 0.0, -3.0])
        .run();
}

#[test]
fn bytes_are_read_in_place() {
    for device in [Some(Device::cpu()), crate::testing::gpu("u8 loads")].into_iter().flatten() {
        let bytes: Vec<u8> = (0..=250).collect();
        let x = Tensor::new(&device, [251], &bytes).and_then(|x| x.cast(DType::F32)).and_then(|x| x.to_vec::<f32>()).expect("values");
        assert_eq!(x, bytes.iter().map(|b| f32::from(*b)).collect::<Vec<_>>(), "{device}");
    }
}

#[test]
fn one_op_with_many_outputs_in_place() {
    // Adam's shape: three tensors updated from a fourth and two scalars, on every device, in the tensors' own memory.
    for device in [Some(Device::cpu()), crate::testing::gpu("three updates in place")].into_iter().flatten() {
        let run = || -> Result<(Vec<f32>, usize)> {
            let tensor = |v: f32| Tensor::new(&device, [1000], &[v; 1000]);
            let vars = [1.0, 2.0, 3.0].map(|v| tensor(v).and_then(|t| crate::Variable::new("v", &t)));
            let [w, m, v] = vars;
            let (w, m, v, g) = (w?, m?, v?, tensor(0.5)?);
            let step = crate::Function::new("update", |_| {
                let new = map(&[&w.value()?, &m.value()?, &v.value()?, &g], |e| {
                    let m = &e[1] + (&e[3] - &e[1]) * 0.5;
                    vec![&e[0] - &m, m, &e[2] + e[3].square()]
                })?;
                [&w, &m, &v].iter().zip(&new).try_for_each(|(variable, new)| variable.assign(new))?;
                Ok(vec![])
            });
            step.call_on(&device, &[])?;
            step.call_on(&device, &[])?;
            // Of the program itself: a count of the device's allocations would be that of all tests that run beside this one.
            Ok((w.value()?.to_vec()?, step.programs()[0].planned_bytes()))
        };
        let (w, planned) = run().expect("two steps");
        // m: 2 → 1.25 → 0.875; w: 1 - 1.25 - 0.875.
        assert_eq!(w, vec![-1.125; 1000], "{device}");
        assert_eq!(planned, 0, "{device}: the program needs memory besides that of its variables");
    }
}

#[test]
fn one_number_chooses_for_all_elements() {
    for device in [Some(Device::cpu()), crate::testing::gpu("one number chooses")].into_iter().flatten() {
        for switch in [2.0f32, -2.0] {
            let run = || -> Result<Vec<Vec<f32>>> {
                let x = Tensor::new(&device, [300], &(0..300).map(|i| i as f32).collect::<Vec<_>>())?;
                let (y, switch) = (x.add_scalar(0.5)?, Tensor::scalar(&device, switch)?);
                let outputs = map(&[&x, &y, &switch], |e| {
                    let go = e[2].gt(&e[2].number(0.0));
                    let size = go.select(&(&e[2] * 2.0), &(&e[2] - 1.0));
                    vec![go.select(&(&e[0] * &size), &e[1]), go.select(&e[0], &(&e[1] + &size)), go.select(&e[0], &e[1])]
                })?;
                outputs.iter().map(|y| y.to_vec()).collect()
            };
            let got = run().expect("three outputs");
            for i in 0..300 {
                let x = i as f32;
                let want = if switch > 0.0 { [4.0 * x, x, x] } else { [x + 0.5, x - 2.5, x + 0.5] };
                assert_eq!([got[0][i], got[1][i], got[2][i]], want, "element {i} of {switch} on {device}");
            }
        }
    }
}

#[test]
fn variables_change_places() {
    for device in [Some(Device::cpu()), crate::testing::gpu("variables change places")].into_iter().flatten() {
        let run = || -> Result<[Vec<f32>; 2]> {
            let variable = |v: f32| crate::Variable::new("v", &Tensor::new(&device, [300], &[v; 300])?);
            let (a, b) = (variable(1.0)?, variable(2.0)?);
            let step = crate::Function::new("change", |_| {
                let new = map(&[&a.value()?, &b.value()?], |e| vec![e[1].clone(), e[0].clone(), &e[0] + &e[1]])?;
                a.assign(&new[0])?;
                b.assign(&new[1])?;
                Ok(vec![new[2].clone()])
            });
            step.call_on(&device, &[])?;
            Ok([a.value()?.to_vec()?, b.value()?.to_vec()?])
        };
        assert_eq!(run().expect("a step"), [vec![2.0; 300], vec![1.0; 300]], "{device}");
    }
}

#[test]
fn conditions_change_from_run_to_run() {
    // Sixteen cases of one expression, more than are kept, each twice; every condition is one number for all elements.
    for device in [Some(Device::cpu()), crate::testing::gpu("conditions change")].into_iter().flatten() {
        let f = crate::Function::new("choose", |args| {
            let choose = |e: &[Expr]| (1..5).fold(e[0].clone(), |x, c| e[c].gt(&e[c].number(0.0)).select(&(&x + 2f64.powi(c as i32)), &x));
            map(&args.iter().collect::<Vec<_>>(), |e| vec![choose(e)])
        });
        let run = |case: usize| -> Result<Vec<f32>> {
            let sign = |c: usize| Tensor::new(&device, [], &[if case >> c & 1 == 1 { 1.0f32 } else { -1.0 }]);
            let args = [Tensor::new(&device, [3], &[0.0f32, 1.0, 2.0])?, sign(0)?, sign(1)?, sign(2)?, sign(3)?];
            f.call(&args.iter().collect::<Vec<_>>())?[0].to_vec()
        };
        for case in (0..16).chain((0..16).rev()) {
            let more = 2.0 * case as f32;
            assert_eq!(run(case).expect("a result"), [more, 1.0 + more, 2.0 + more], "{device}, case {case:04b}");
        }
    }
}

#[test]
fn one_op_over_tensors_of_several_shapes() {
    use crate::device::cpu::Region;
    let (op, _) = Pointwise::new(&[Node::Input(0), Node::Input(1), Node::Binary(Binary::Sub, 0, 1)], &[2], None);
    // The second input is of the first's shape, one number, or a row.
    for (shape, other) in [([2, 3], vec![2, 3]), ([2, 3], vec![]), ([4, 70], vec![70]), ([2, 3], vec![2, 3]), ([2, 3], vec![3])] {
        let (first, second) = (Spec::new(shape, DType::F64), Spec::new(other, DType::F64));
        let count = |spec: &Spec| spec.shape.elements();
        let mut a: Vec<f64> = (0..count(&first)).map(|i| i as f64).collect();
        let mut b: Vec<f64> = (0..count(&second)).map(|i| 0.5 + 2.0 * i as f64).collect();
        let mut y = vec![f64::NAN; count(&first)];
        let [x, z, to] =
            [(&mut a, &first), (&mut b, &second), (&mut y, &first)].map(|(v, spec)| Region { ptr: v.as_mut_ptr().cast(), spec });
        let (inputs, outputs) = ([x, z], [to]);
        // SAFETY: three vectors of these lengths, which nobody else uses meanwhile.
        let mut args = unsafe { CpuArgs::new(&inputs, &outputs, &[None]) };
        op.cpu(&mut args).expect("floats of one type");
        let want: Vec<f64> = a.iter().enumerate().map(|(i, a)| a - b[i % b.len()]).collect();
        assert_eq!(y, want, "{first} and {second}");
    }
}

#[test]
fn sizes() {
    for n in [0, 1, 63, 65, 511, 513, 40_000] {
        check(&format!("{n} elements"), &[float([n]), float([n])], |x| x[0].mul(&x[1])).first_order_only().run();
    }
    // More than 65 535 workgroups.
    let n = 65_535 * 64 + 70;
    check("a folded grid", &[float([n])], |x| x[0].add_scalar(1.0)).not_differentiable().run();
}

#[test]
fn nan_stays_nan() {
    for device in [Some(Device::cpu()), crate::testing::gpu("NaN")].into_iter().flatten() {
        let x = Tensor::new(&device, [2], &[f32::NAN, 1.0]).expect("a tensor");
        let one = Tensor::new(&device, [2], &[1.0f32, 1.0]).expect("a tensor");
        let all =
            [x.relu(), x.tanh(), x.sigmoid(), x.softplus(), x.maximum(&one), one.maximum(&x), x.minimum(&one), one.minimum(&x), x.erf()];
        for (i, y) in all.into_iter().enumerate() {
            let y = y.and_then(|y| y.to_vec::<f32>()).expect("values");
            assert!(y[0].is_nan() && y[1].is_finite(), "function {i} on {device}: {y:?}");
        }
        assert_eq!(x.is_finite().and_then(|y| y.to_vec::<u32>()).expect("values"), [0, 1], "{device}");
    }
}

#[test]
fn errors_say_what_came() {
    let cpu = Device::cpu();
    let (a, b) = (Tensor::zeros(&cpu, [2, 3]).expect("zeros"), Tensor::zeros(&cpu, [4]).expect("zeros"));
    assert_eq!(a.add(&b).expect_err("shapes").to_string(), "add: expected a shape that broadcasts with [2, 3], got [4]");
    let n = Tensor::full(&cpu, [3], DType::U32, 1.0).expect("ones");
    assert_eq!(a.mul(&n).expect_err("types").to_string(), "mul: expected two of one type, the first is f32, got u32; cast one");
    assert_eq!(n.exp().expect_err("types").to_string(), "exp: expected f32, got u32; cast it first");
}
