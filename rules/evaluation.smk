rule evaluation:
    """Score an experiment on its test blocks, all figures from confusion matrices."""
    input:
        samples=lambda wildcards: sample_folders(wildcards.experiment),
        legend=experiment_legend,
        predictions=lambda wildcards: all_predictions(wildcards.experiment),
    output:
        metrics="<results>/evaluation/{experiment}/metrics.json",
        confusion="<results>/evaluation/{experiment}/confusion.parquet",
        parcels="<results>/evaluation/{experiment}/parcels.parquet",
    log:
        "<logs>/evaluation/{experiment}.log",
    benchmark:
        "<benchmarks>/evaluation/{experiment}.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="4 GiB",
        runtime="1h",
    params:
        places=lambda wildcards: place_options(wildcards.experiment),
        samples=lambda wildcards, input: options("--samples", input.samples),
        predictions=lambda wildcards, input: options("--predictions", input.predictions),
        labels=lambda wildcards: options("--labels", label_kinds(wildcards.experiment)),
        settings=experiment_settings,
        code=room_code("evaluation", "samples", "regions", "labels"),
    shell:
        r"""
        python -m cropflow evaluation \
            {params.places} {params.samples} {params.predictions} {params.labels} \
            --settings {params.settings:q} \
            --output {output.metrics:q} --confusion {output.confusion:q} \
            --parcels {output.parcels:q} 2>{log:q}
        """
